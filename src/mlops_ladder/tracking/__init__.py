"""Tracking: each training as an MLflow run, and the model card made from one."""
