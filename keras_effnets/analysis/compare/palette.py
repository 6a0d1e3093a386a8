"""The chart's colours and marks.

Each line of descent has one of Okabe and Ito's seven colours, which colour-blind readers can tell
apart; families of one line differ by shape.
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
"""Area and greatest reach of each matplotlib marker, drawn into a unit square."""

LARGEST, LEAST = 900.0, 12.0
"""Areas of the largest bubble and of the smallest one allowed, square points."""


class Style(NamedTuple):
    """The look of a family's points."""

    line: str
    colour: str
    marker: str
    """matplotlib's code."""


STYLES = {
    family: Style(line, colour, marker)
    for line, (colour, families) in LINES.items()
    for family, marker in families.items()
}


def style(family: str) -> Style:
    """The style of a family; grey if it belongs to no line of descent."""
    return STYLES.get(family, Style("other", GREY, "X"))


def bubble(value: float, largest: float) -> float:
    """Area of a value's disc, square points: in proportion, but large enough to see."""
    return max(LEAST, LARGEST * value / largest)
