"""Policy logs: what an adaptive model decided, from any file form to exact counts."""
