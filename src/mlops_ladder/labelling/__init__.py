"""Labelling: from rows that were asked to rows that are learned from, by people who agree."""
