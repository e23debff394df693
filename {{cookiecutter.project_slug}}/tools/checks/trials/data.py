"""Tried and planted: data."""
