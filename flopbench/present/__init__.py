"""What a reader sees of several results: figures, drawing, the report."""
