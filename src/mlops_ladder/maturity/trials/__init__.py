"""The checks of a deep run: what is tried, and the faults that are planted, in a copy."""
