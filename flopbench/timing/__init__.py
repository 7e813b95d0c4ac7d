"""Measured time: records, verdicts, comparison, sweeps, roofs."""
