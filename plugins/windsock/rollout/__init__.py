"""Rollout: which unit sees which version, and what its traffic proves."""
