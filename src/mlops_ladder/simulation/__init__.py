"""The simulation: days of a service in a temporary folder, by the project's own code."""
