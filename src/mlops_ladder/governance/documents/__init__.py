"""Technical documentation: rendered from evidence, each statement with its source."""
