"""Diagrams drawn from the networks themselves: a row of layers, and the inside of the blocks."""

from keras_effnets.analysis.compare.diagram.svg import diagram

__all__ = ["diagram"]
