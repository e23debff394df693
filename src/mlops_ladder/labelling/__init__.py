"""Labelling: people label logged rows; rows on which they agree become training data."""
