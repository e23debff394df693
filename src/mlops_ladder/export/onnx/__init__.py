"""ONNX: a fitted scikit-learn model as a graph."""
