"""The figures of runs and comparisons: one look, the same bytes on every machine."""
