"""Wide ResNet 50 and 101 for ImageNet: a ResNet whose bottlenecks are twice as wide inside.

Wide Residual Networks, Zagoruyko and Komodakis, 2016, arXiv 1605.07146. The stem, the stages and
the differences between profiles are ResNet's. `preact_cifar` has the networks for CIFAR.
"""

from dataclasses import dataclass
from typing import ClassVar

from keras_effnets.models.builder import builder
from keras_effnets.models.resnet import REPEATS, TORCHVISION_SOURCE, ResNetConfig, resnet
from keras_effnets.plan.config import Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class WideResNetConfig(ResNetConfig):
    """A ResNet whose bottlenecks are wider inside."""

    family: ClassVar[str] = "Wide ResNet"
    paper: ClassVar[Paper] = Paper(
        "Wide Residual Networks",
        "Zagoruyko and Komodakis",
        2016,
        "https://arxiv.org/abs/1605.07146",
    )
    base_width: int = 128


VARIANTS = tuple(
    WideResNetConfig(name=f"wide_resnet{depth}_2", repeats=REPEATS[depth]) for depth in (50, 101)
)

WideResNet50_2 = builder("WideResNet50_2", resnet, VARIANTS[0])
WideResNet101_2 = builder("WideResNet101_2", resnet, VARIANTS[1])

WideResNetConfig.spellings = {"torchvision": TORCHVISION_SOURCE, "timm": TORCHVISION_SOURCE}
