"""Everything that runs a model. The only package that may import torch at module top."""
