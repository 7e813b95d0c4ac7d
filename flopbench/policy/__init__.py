"""Policy logs: what an adaptive model decided, from any file format to exact counts."""
