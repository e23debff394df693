"""The audit log: what was promoted, approved and configured, as a chain of lines."""
