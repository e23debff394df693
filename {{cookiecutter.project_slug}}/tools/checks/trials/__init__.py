"""What is tried, and what is planted, in a copy of the repository: one module a domain."""
