"""Batch: predictions for a file."""
