"""What is this project's own; the machinery is the library mlops-ladder."""
