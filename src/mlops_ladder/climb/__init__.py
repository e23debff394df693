"""To another maturity level, or other answers, with every edit kept."""
