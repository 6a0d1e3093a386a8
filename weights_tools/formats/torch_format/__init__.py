"""PyTorch's weights files."""
