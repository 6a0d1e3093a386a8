"""Names that checkpoints of several families share."""
