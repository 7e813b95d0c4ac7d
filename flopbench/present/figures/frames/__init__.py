"""Film strips: which samples, which frames, what is written at them."""
