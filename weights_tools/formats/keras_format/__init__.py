"""Keras's weights files."""
