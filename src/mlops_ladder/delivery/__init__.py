"""Delivery: deploy, promote, back up; most of it runs from the wheel, without an environment."""
