"""A replay: its parts and baseline, its record and file, and what the times say. No torch here."""
