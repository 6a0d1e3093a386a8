"""Reads, converts and verifies checkpoints of other libraries."""

from importlib import metadata

try:
    __version__ = metadata.version("keras_effnets")
except metadata.PackageNotFoundError:  # a copy of the source that was never installed
    __version__ = "0+unknown"
