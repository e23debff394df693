"""The service of this project."""
