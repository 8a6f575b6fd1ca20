"""The suites that come with the project, one per file."""
