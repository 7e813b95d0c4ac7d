"""The baseline file."""
