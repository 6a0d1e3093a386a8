"""Networks drawn from what they are: the row of their layers, and the inside of their blocks."""

from keras_effnets.analysis.compare.diagram.svg import diagram

__all__ = ["diagram"]
