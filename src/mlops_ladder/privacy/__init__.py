"""Privacy: which data may reach the model and the log, how long they are kept, and erasure."""
