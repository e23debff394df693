"""Hooks, CI and review rules for a repository that we did not make."""
