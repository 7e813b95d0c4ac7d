"""The code that measures time and reads devices; it may import torch."""
