"""Serving: one model, answered for over HTTP."""
