"""What every architecture's config has, and the walk from a paper's table to its blocks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from keras_effnets.images.preset import Preset
from keras_effnets.plan.profile import TENSORFLOW, TORCH, Profile, check_profile

if TYPE_CHECKING:
    from keras_effnets.weights.names.rule import Source

OUTPUT_STRIDES = (8, 16, 32)
CIFAR = Preset(crop=32, resize=32, mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7))
"""How networks for CIFAR want their pictures: whole, by the mean and std of CIFAR-10's training
set, as the code of Wide ResNet and of ResNeXt has them."""


def is_number(value: object) -> bool:
    """Whether `value` is one that can be compared and multiplied with."""
    return isinstance(value, Real) and not isinstance(value, bool)


class Paper(NamedTuple):
    """Where an architecture was published."""

    title: str
    authors: str
    year: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One network, scaled and settled, before anything is built.

    Raises:
        ValueError: For a rate outside [0, 1), or an unknown profile or output stride.
    """

    family: ClassVar[str]
    paper: ClassVar[Paper]
    min_side: ClassVar[int] = 32
    head: ClassVar[tuple[str, ...]] = ("classifier",)
    """Names of the layers with weights that `include_top=False` leaves out."""
    spellings: ClassVar["Mapping[str, Source]"]
    """How checkpoints name this network's tensors, by source: each family's module says it last."""
    settled: ClassVar[tuple[str, ...]] = ()
    """Names of fields that change the numbers and no weight's shape: the weights were trained with
    one value, and say which."""

    name: str
    """Under which the registry and the catalog know it."""
    side: int
    """Of the pictures in the paper, pixels."""
    classes: int = 1000
    """Of the paper's data: how many outputs the builder gives unless told otherwise."""
    dropout: float
    drop_path: float = 0.0
    output_stride: int = 32
    profile: str = "torch"
    torch: Profile = TORCH
    tensorflow: Profile = TENSORFLOW
    preset: Preset | None = None
    """The weights set's; None takes the paper's side and the profile's mean and std."""

    def __post_init__(self) -> None:
        for rate in ("dropout", "drop_path"):
            value = getattr(self, rate)
            if not (is_number(value) and 0 <= value < 1):
                raise ValueError(f"{rate}={value!r} is not a number in [0, 1)")
        if self.output_stride not in OUTPUT_STRIDES:
            raise ValueError(f"output_stride={self.output_stride!r} is not one of {OUTPUT_STRIDES}")
        check_profile(self.profile)

    @property
    def habits(self) -> Profile:
        """The profile that is in force."""
        return self.torch if self.profile == "torch" else self.tensorflow

    @property
    def settings(self) -> dict[str, Any]:
        """The fields that are `settled`, as they are in force."""
        return {name: getattr(self, name) for name in self.settled}

    @property
    def input_preset(self) -> Preset:
        """How the network wants its pictures."""
        if self.preset is not None:
            return self.preset
        return Preset(
            crop=self.side,
            resize=round(self.side / 0.875),
            mean=self.habits.mean,
            std=self.habits.std,
        )


class Stage(NamedTuple):
    """One row of a mobile network's table."""

    expansion: int
    kernel_size: int
    strides: int
    filters: int
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block, named, scaled and in its place."""

    name: str
    stage: int
    """Counted from 1."""
    index: int
    """Within its stage, from 0."""
    filters: int
    kernel_size: int
    strides: int
    dilation_rate: int
    expansion: float
    drop_path: float


def walk(
    stages: Sequence[Stage], *, output_stride: int, drop_path: float, stem_stride: int = 2
) -> Iterator[Block]:
    """Every block of a network, once and in order.

    Past `output_stride` a stride becomes dilation: the block that loses its stride keeps the
    dilation so far, those after it see twice as far (the rule of MobileNetV2's segmentation).
    The dropping rate grows by the block's index over all blocks: 0 for the first,
    `drop_path * (N - 1) / N` for the last of N.
    """
    total = sum(stage.repeats for stage in stages)
    position, reached, dilation = 0, stem_stride, 1
    for number, stage in enumerate(stages, start=1):
        for index in range(stage.repeats):
            strides = stage.strides if index == 0 else 1
            rate = dilation
            if reached * strides > output_stride:
                dilation *= strides
                strides = 1
            reached *= strides
            yield Block(
                name=f"stage{number}_block{index}",
                stage=number,
                index=index,
                filters=stage.filters,
                kernel_size=stage.kernel_size,
                strides=strides,
                dilation_rate=rate,
                expansion=stage.expansion,
                drop_path=drop_path * position / total,
            )
            position += 1
