"""Multiply-accumulates: profiles, the cost table, agreement between counters, the cache."""
