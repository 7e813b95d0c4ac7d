"""Latency budgets."""
