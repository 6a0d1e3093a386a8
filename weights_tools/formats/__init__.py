"""Weights files as named tensors. Imports neither Keras nor torch."""
