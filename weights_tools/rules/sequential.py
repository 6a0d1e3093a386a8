"""PyTorch's sequences: `features.{n}` and `classifier.{n}`, every module of them numbered.

So torchvision names AlexNet, VGG and SqueezeNet, and so are networks written that it lacks.
"""

from collections.abc import Iterator

from keras_effnets.weights.names.rule import Rule, biased


def hidden_top(side: int, first: int, second: int, last: int) -> Iterator[Rule]:
    """The dense layers behind a flattened picture of `side` × `side`, by their numbers."""
    yield from biased(f"classifier.{first}", "fc6/dense", f"flatten:{side}")
    yield from biased(f"classifier.{second}", "fc7/dense", "dense")
    yield from biased(f"classifier.{last}", "classifier/dense", "dense")
