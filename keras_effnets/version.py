"""The release, in one place: the build reads it without importing Keras."""

VERSION = "0.1.0"
