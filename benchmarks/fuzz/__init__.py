"""Damaged inputs of every kind that flopbench reads: ``python -m benchmarks.fuzz``."""
