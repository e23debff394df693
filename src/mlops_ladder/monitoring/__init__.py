"""Monitoring: compares the prediction log of the champion with its training."""
