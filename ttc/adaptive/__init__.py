"""The right compute per prompt: difficulty, policies, tuning from recorded samples, allocation over a batch."""
