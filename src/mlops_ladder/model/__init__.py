"""The model: training, its scores, and what moves its predictions."""
