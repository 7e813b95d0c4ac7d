"""The code that counts; it may import torch."""
