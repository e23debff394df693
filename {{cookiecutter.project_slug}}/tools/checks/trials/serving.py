"""Tried and planted: batch, API, the log of predictions."""
