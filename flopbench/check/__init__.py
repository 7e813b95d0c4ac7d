"""Model cost in CI: configuration, baseline, deltas and their causes, acceptance."""
