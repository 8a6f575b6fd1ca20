"""Test-time compute for models served by vLLM."""
