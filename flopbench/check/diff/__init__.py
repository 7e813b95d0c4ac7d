"""Which modules changed between two profiles, and why the cost did."""
