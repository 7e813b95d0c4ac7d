"""Multiply-accumulates: profiles, the cost table, agreement between counters, the cache."""

DEFAULT_COUNTERS = ("thop-2020", "thop", "fvcore", "torch")
"""Those of ``registry`` that count unless others are asked for."""
