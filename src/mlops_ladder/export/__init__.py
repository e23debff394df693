"""The export: a trained model as files that the service runs without its training code."""
