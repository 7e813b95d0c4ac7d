"""The counters, one file each."""
