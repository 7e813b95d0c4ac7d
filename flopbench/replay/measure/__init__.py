"""Code that runs a replay; it may import torch."""
