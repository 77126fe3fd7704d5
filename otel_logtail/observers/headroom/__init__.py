"""The headroom LLM proxy."""
