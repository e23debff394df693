"""Tried and planted: entry point, hygiene, hooks, lock, card, CI's tests."""
