"""The simulation: days of a service in a throw-away folder, by the project's own parts."""
