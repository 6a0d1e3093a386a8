"""DenseNet for CIFAR.

Densely Connected Convolutional Networks, Huang et al., 2016, arXiv 1608.06993, section 3, for
CIFAR: plain, with bottlenecks (B), with compression (C) or with both (BC). Blocks, transitions and
the differences between profiles are those of `densenet`.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Unpack

import keras

from keras_effnets.images.preset import Preset
from keras_effnets.models.builder import CommonOptions, builder, create
from keras_effnets.models.densenet import DenseNetConfig, build, named
from keras_effnets.plan.config import CIFAR


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseNetCIFARConfig(DenseNetConfig):
    """A dense network for images of 32 × 32 pixels."""

    min_side: ClassVar[int] = 4

    side: int = 32
    classes: int = 10
    preset: Preset | None = CIFAR

    @property
    def stem(self) -> int:
        """Channels of the first convolution: 2k with bottlenecks and compression, otherwise 16."""
        return 2 * self.growth_rate if self.bottleneck and self.compression < 1 else 16

    @property
    def large_stem(self) -> bool:
        """False: the stem is only a 3×3 convolution."""
        return False


VARIANT = DenseNetCIFARConfig(name="densenet_cifar", repeats=(16, 16, 16), growth_rate=12)


def _densenet_cifar(
    config: DenseNetCIFARConfig,
    *,
    depth: int = 100,
    growth_rate: int = 12,
    bottleneck: bool = True,
    compression: float = 0.5,
    dropout: float = 0.0,
    memory_efficient: bool = False,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a dense network for CIFAR: pixels in, class probabilities out.

    The default is the paper's DenseNet-BC (k = 12); its plain network is
    `depth=40, bottleneck=False, compression=1.0`.

    Args:
        depth: Number of layers with weights: 6n + 4 with bottlenecks, 3n + 4 without.
        growth_rate: New channels of each layer.
        bottleneck: Whether a 1×1 convolution precedes each 3×3.
        compression: Channels after a transition over those before it, in (0, 1].
        dropout: Dropout rate after each convolution except the first, in [0, 1); the paper uses
            0.2 for images that are not augmented.
        memory_efficient: Whether training recomputes each layer's concatenation, norm and
            activation instead of keeping them. The results are the same.
    """
    step = 6 if bottleneck else 3
    if not isinstance(depth, int) or depth < step + 4 or (depth - 4) % step:
        raise ValueError(
            f"depth={depth!r} is not of the form {step}n+4 with n of 1 or more, which "
            f"bottleneck={bottleneck} requires"
        )
    variant = config
    config = replace(
        config,
        repeats=((depth - 4) // step,) * 3,
        growth_rate=growth_rate,
        bottleneck=bottleneck,
        compression=compression,
        dropout=dropout,
        memory_efficient=memory_efficient,
    )
    return create(build, named(config, variant), common)


DenseNetCIFAR = builder("DenseNetCIFAR", _densenet_cifar, VARIANT)
