"""Recording samples, and from the calls of a run to a pool and back to curves."""
