"""What every part stands on: errors, units, files, statistics, tables of text, workers."""
