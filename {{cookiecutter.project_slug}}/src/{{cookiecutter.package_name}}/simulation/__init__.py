"""The simulation: days of a service in a throw-away folder, with the parts that the project runs."""
