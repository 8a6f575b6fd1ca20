"""Verifiers and comparators: they score samples without the gold answer."""
