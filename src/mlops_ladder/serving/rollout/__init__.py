"""Rollout: a new version replaces the champion step by step, or is taken back by itself."""
