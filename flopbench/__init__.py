"""flopbench: what a vision model really costs."""
