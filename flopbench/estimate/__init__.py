"""The weighted sum: prices, charges, intervals, accuracy, comparison of runs."""
