"""A replay: its parts and baseline, its record and file, its figures. No torch here."""
