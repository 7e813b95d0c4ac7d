"""Which network at which input: specifications and published set-ups."""
