"""Film strips: which samples and frames are drawn, and how they are labelled."""
