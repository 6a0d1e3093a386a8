"""Images: a file to pixels, pixels to a network's input, scores to class names."""
