"""Data: the contract, how files are read and checked, and where they come from."""
