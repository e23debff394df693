"""What starts a training by itself: a cause, a decision that is written down, and one run."""
