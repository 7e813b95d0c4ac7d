"""The pytest plugin: marks, costs, baseline."""
