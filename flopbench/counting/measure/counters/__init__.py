"""The counter adapters, one file each."""
