"""Colours that every kind of colour vision tells apart, and a mark for each family.

The seven colours are Okabe and Ito's, one a line of descent; within a line, families differ by
shape.
"""

from typing import NamedTuple

BLUE, VERMILION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
SKY, PURPLE, BLACK = "#56b4e9", "#cc79a7", "#333333"
GREY = "#8c8c8c"
INK = "#1b1f24"

LINES: dict[str, tuple[str, dict[str, str]]] = {
    "plain": (BLACK, {"AlexNet": "s", "ZFNet": "D", "Network In Network": "^", "VGG": "o"}),
    "Inception": (ORANGE, {"GoogLeNet": "o"}),
    "residual": (
        BLUE,
        {
            "ResNet": "o",
            "Pre-activation ResNet": "v",
            "Wide ResNet": "s",
            "ResNeXt": "D",
            "SENet": "^",
            "Stochastic Depth": "p",
            "CIFAR ResNet": ">",
            "Pre-activation ResNet for CIFAR": "<",
            "Wide ResNet for CIFAR": "8",
            "ResNeXt for CIFAR": "h",
        },
    ),
    "dense": (SKY, {"DenseNet": "o"}),
    "squeezed": (PURPLE, {"SqueezeNet": "o"}),
    "mobile": (GREEN, {"MobileNetV1": "o", "MobileNetV2": "s", "MobileNetV3": "D"}),
    "scaled": (VERMILION, {"EfficientNet": "o", "EfficientNet-Lite": "s", "EfficientNetV2": "D"}),
}


# Of a shape that matplotlib draws into a unit square: its area, and the farthest that it reaches.
SHAPES = {
    "o": (0.785, 0.5),
    "s": (1.0, 0.62),
    "D": (1.0, 0.65),
    "^": (0.5, 0.5),
    "v": (0.5, 0.5),
    "<": (0.5, 0.5),
    ">": (0.5, 0.5),
    "p": (0.594, 0.5),
    "8": (0.707, 0.5),
    "h": (0.65, 0.5),
    "X": (0.625, 0.5),
}


LARGEST, LEAST = 900.0, 12.0
"""Square points of the chart's largest bubble, and of any."""


class Style(NamedTuple):
    """How a family's points look."""

    line: str
    colour: str
    marker: str
    """As matplotlib calls it."""


STYLES = {
    family: Style(line, colour, marker)
    for line, (colour, families) in LINES.items()
    for family, marker in families.items()
}


def style(family: str) -> Style:
    """Of a family; grey for one that is on no line."""
    return STYLES.get(family, Style("other", GREY, "X"))


def bubble(value: float, largest: float) -> float:
    """Square points of a disc for a value: in proportion, but for what could not be seen."""
    return max(LEAST, LARGEST * value / largest)
