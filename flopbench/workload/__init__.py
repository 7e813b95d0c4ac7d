"""The decisions of a log as work: which networks run on which videos, and in what order. Pure."""
