"""Policy logs: what an adaptive model decided, from any file format to exact counts."""

ENGINES = ("exact", "duckdb", "spark")
"""What counts a log for ``flopbench log reduce``."""
