"""The counters: one file each, found by name. See ``base`` for the protocol."""
