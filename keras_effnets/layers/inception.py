"""The block of GoogLeNet: four branches side by side."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_effnets.layers.chain import Chain, Shape, register
from keras_effnets.layers.conv import add_unit
from keras_effnets.layers.pooling import MaxPool


@register
class Inception(Chain):
    """1×1, 3×3 and 5×5 convolutions and a max pooling, side by side, their channels concatenated.

    Going Deeper with Convolutions, Szegedy et al., 2014, arXiv 1409.4842, figure 2. Inputs must
    not be below zero. Maps (B, H, W, C) to (B, H, W, sum of the branches' channels).

    Args:
        filters: Channels in the order of the paper's table: 1×1; reduction before the 3×3, 3×3;
            reduction before the 5×5, 5×5; projection after the pooling. Zero leaves out a
            reduction or the projection; without all three the block is the paper's naive one.
        widest: Side of the 5×5 branch's kernel, odd; 3 in TF-slim and torchvision.
        norm: Whether each convolution has a batch norm instead of a bias.
        epsilon, momentum: As for `ConvNormAct`.

    Raises:
        ValueError: Unless `filters` are six numbers, none negative and only reductions and
            projection zero.
    """

    def __init__(
        self,
        filters: Sequence[int],
        *,
        widest: int = 5,
        norm: bool = True,
        epsilon: float = 1e-3,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        filters = tuple(filters)
        if len(filters) != 6 or min(filters) < 0 or not all(filters[i] for i in (0, 2, 4)):
            raise ValueError(
                f"Inception: filters={filters!r} must be six numbers (1x1, 3x3 reduction, 3x3, "
                "5x5 reduction, 5x5, projection); only the reductions and the projection may be 0"
            )
        self.filters = filters
        self.widest = widest
        self.norm = norm
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds the convolutions and the pooling, branch by branch."""
        one, reduce3, three, reduce5, five, project = self.filters
        self._branches: list[list[str]] = []
        self._branch(("conv1x1", one, 1))
        self._branch(("reduce3x3", reduce3, 1), ("conv3x3", three, 3))
        self._branch(("reduce5x5", reduce5, 1), ("conv5x5", five, self.widest))
        self.add("pool", MaxPool, 3, strides=1, padding=1)
        self._branch(("project", project, 1))
        self._branches[-1].insert(0, "pool")

    def _branch(self, *units: tuple[str, int, int]) -> None:
        present = [unit for unit in units if unit[1]]
        for unit in present:
            add_unit(self, *unit)
        self._branches.append([name for name, *_ in present])

    def _each_branch(self) -> Iterator[list[Any]]:
        for names in self._branches:
            yield [getattr(self, name) for name in names]

    def build_sublayers(self, input_shape: Shape) -> None:
        """Builds each branch, starting from the input's shape."""
        for branch in self._each_branch():
            shape = input_shape
            for layer in branch:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The branches' channels, in the order of the table."""
        outputs = []
        for branch in self._each_branch():
            x = inputs
            for layer in branch:
                x = layer(x)
            outputs.append(x)
        return keras.ops.concatenate(outputs, axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, H, W, sum of the branches' channels)."""
        *sides, channels = input_shape
        one, _, three, _, five, project = self.filters
        return (*sides, one + three + five + (project or channels or 0))
