"""The `keras-effnets` commands, one per module."""
