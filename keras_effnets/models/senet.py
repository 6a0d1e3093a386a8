"""SENet: ResNet and ResNeXt with a squeeze-and-excitation after every block's branch.

Squeeze-and-Excitation Networks, Hu et al., 2017, arXiv 1709.01507. The paper builds on ResNet
"v1", with the stride on a bottleneck's first 1×1 convolution; here it follows the profile. The
stem, the stages and the other differences between profiles are ResNet's.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from keras_effnets.models.builder import builder
from keras_effnets.models.resnet import REPEATS, TORCHVISION_SOURCE, ResNetConfig, resnet
from keras_effnets.plan.config import Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class SENetConfig(ResNetConfig):
    """A ResNet or ResNeXt with a squeeze-and-excitation in every block."""

    family: ClassVar[str] = "SENet"
    paper: ClassVar[Paper] = Paper(
        "Squeeze-and-Excitation Networks", "Hu et al.", 2017, "https://arxiv.org/abs/1709.01507"
    )
    reduction: int | None = 16


VARIANTS = (
    *(SENetConfig(name=f"se_resnet{depth}", repeats=REPEATS[depth]) for depth in (50, 101, 152)),
    *(
        SENetConfig(
            name=f"se_resnext{depth}_32x4d", repeats=REPEATS[depth], groups=32, base_width=4
        )
        for depth in (50, 101)
    ),
)

SEResNet50 = builder("SEResNet50", resnet, VARIANTS[0])
SEResNet101 = builder("SEResNet101", resnet, VARIANTS[1])
SEResNet152 = builder("SEResNet152", resnet, VARIANTS[2])
SEResNeXt50_32x4d = builder("SEResNeXt50_32x4d", resnet, VARIANTS[3])
SEResNeXt101_32x4d = builder("SEResNeXt101_32x4d", resnet, VARIANTS[4])

SENetConfig.spellings = {
    "timm": replace(
        TORCHVISION_SOURCE, architecture=lambda config: config.name.replace("se_", "se", 1)
    )
}
