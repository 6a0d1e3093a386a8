"""What two heritages do differently in the same network."""

from dataclasses import dataclass
from typing import Any

PROFILES = ("torch", "tensorflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The habits of the framework in which a checkpoint was trained.

    A checkpoint gives its own numbers only under the habits it was made with: strides pad
    another side, the batch norm's epsilon differs by a hundred, pixels are scaled otherwise.
    """

    name: str
    padding: str
    """`"symmetric"` or `"same"`, as in `layers.ConvNormAct`."""
    epsilon: float
    """Of every batch normalisation."""
    momentum: float
    """Of its moving statistics, in Keras's sense."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Of red, green and blue, pixels 0-255; ImageNet's by default."""
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Of red, green and blue, pixels 0-255; ImageNet's by default."""

    stride_on: str = "3x3"
    """Which convolution of a residual bottleneck has the stride, as in `layers.Bottleneck`."""
    conv_bias: bool = False
    """Whether residual networks' convolutions have a bias though a batch norm follows."""

    @property
    def unit(self) -> dict[str, Any]:
        """What the layers take: the arguments of `ConvNormAct` that a heritage settles."""
        return {"padding": self.padding, "epsilon": self.epsilon, "momentum": self.momentum}


TORCH = Profile(name="torch", padding="symmetric", epsilon=1e-5, momentum=0.9)
TENSORFLOW = Profile(name="tensorflow", padding="same", epsilon=1e-3, momentum=0.99)


def check_profile(name: str) -> str:
    """Returns `name`, or raises ValueError where it is none of `PROFILES`."""
    if name not in PROFILES:
        raise ValueError(f"profile={name!r} is not one of {PROFILES}")
    return name
