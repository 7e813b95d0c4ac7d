"""Code that measures time and reads devices; it may import torch."""
