"""Privacy: what may reach the model and the log, how long it is kept, and how it is forgotten."""
