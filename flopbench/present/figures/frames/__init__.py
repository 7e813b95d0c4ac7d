"""Film strips: which samples and frames are drawn, and how they are labelled."""

from flopbench.present.figures.frames.figure import frames

__all__ = ["frames"]
