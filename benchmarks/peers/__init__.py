"""flopbench and what it can be compared with, side by side in one run."""
