"""The `keras-effnets` commands, one a module."""
