"""ResNeXt for ImageNet: a ResNet whose bottlenecks are divided into groups.

Aggregated Residual Transformations for Deep Neural Networks, Xie et al., 2016, arXiv 1611.05431.
50_32x4d has 32 groups (the cardinality) of 4 channels each in the first stage. The stem, the stages
and the differences between profiles are ResNet's. `resnext_cifar` has the networks for CIFAR.
"""

from dataclasses import dataclass
from typing import ClassVar

from keras_effnets.models.builder import builder
from keras_effnets.models.resnet import REPEATS, TORCHVISION_SOURCE, ResNetConfig, resnet
from keras_effnets.plan.config import Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNeXtConfig(ResNetConfig):
    """A ResNet whose bottlenecks are divided into groups."""

    family: ClassVar[str] = "ResNeXt"
    paper: ClassVar[Paper] = Paper(
        "Aggregated Residual Transformations for Deep Neural Networks",
        "Xie et al.",
        2016,
        "https://arxiv.org/abs/1611.05431",
    )


VARIANTS = tuple(
    ResNeXtConfig(
        name=f"resnext{depth}_{groups}x{width}d",
        repeats=REPEATS[depth],
        groups=groups,
        base_width=width,
    )
    for depth, groups, width in ((50, 32, 4), (101, 32, 8), (101, 64, 4))
)

ResNeXt50_32x4d = builder("ResNeXt50_32x4d", resnet, VARIANTS[0])
ResNeXt101_32x8d = builder("ResNeXt101_32x8d", resnet, VARIANTS[1])
ResNeXt101_64x4d = builder("ResNeXt101_64x4d", resnet, VARIANTS[2])

ResNeXtConfig.spellings = {"torchvision": TORCHVISION_SOURCE, "timm": TORCHVISION_SOURCE}
