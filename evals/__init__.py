"""Suites, the eval runner, and its curves, figures and pages."""
