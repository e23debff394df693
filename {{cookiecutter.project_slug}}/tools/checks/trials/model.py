"""Tried and planted: runs, scores, baseline, search, repetition, features."""
