"""Tests of the labelling."""
