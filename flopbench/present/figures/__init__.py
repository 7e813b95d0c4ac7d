"""What a figure shows, without matplotlib."""
