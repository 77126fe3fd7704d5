"""The hex event bus."""
