"""Monitoring: what the prediction log says of the champion, beside what it was trained on."""
