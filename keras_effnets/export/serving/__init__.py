"""Exports SavedModels for TensorFlow Serving that take whole image files."""
