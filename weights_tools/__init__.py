"""Reads, converts and verifies checkpoints of other libraries."""
