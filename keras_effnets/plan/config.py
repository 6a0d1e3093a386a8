"""The config that every architecture has, and the walk from a paper's table to its blocks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from keras_effnets.images.preset import Preset

if TYPE_CHECKING:
    from keras_effnets.weights.names.rule import Source

OUTPUT_STRIDES = (8, 16, 32)
PROFILES = ("torch", "tensorflow")
HALF_RANGE = (127.5, 127.5, 127.5)
"""As mean and as std: scales pixels to -1 to 1."""
CIFAR = Preset(crop=32, resize=32, mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7))
"""The preset of networks for CIFAR: the whole image, normalised by the mean and std of CIFAR-10's
training set, as in the code of Wide ResNet and of ResNeXt."""


def is_number(value: object) -> bool:
    """Whether `value` is a real number; booleans are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_integer(name: str, value: object, least: int = 1) -> int:
    """Returns `value` as an int; NumPy's integers are accepted.

    Raises:
        ValueError: `value` is not an integer of `least` or more; the message calls it `name`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name}={value!r} is not an integer of {least} or more")
    return int(value)


def blocks_per_stage(depth: int, step: int, rest: int) -> int:
    """Returns n for a depth of `step`·n + `rest` layers.

    Raises:
        ValueError: `depth` is not of that form with n of 1 or more.
    """
    if not isinstance(depth, int) or depth < step + rest or (depth - rest) % step:
        raise ValueError(f"depth={depth!r} is not of the form {step}n+{rest} with n of 1 or more")
    return (depth - rest) // step


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The conventions of the framework in which a checkpoint was trained.

    A checkpoint gives its own numbers only under the conventions it was trained with: frameworks
    pad strided convolutions on different sides, scale pixels differently, and their batch norms'
    epsilons differ by a factor of a hundred.
    """

    name: str
    padding: str
    """`"symmetric"` or `"same"`, as in `layers.ConvNormAct`."""
    epsilon: float
    """The batch norms' epsilon."""
    momentum: float
    """The momentum of their moving statistics, in Keras's sense."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Mean of red, green and blue, pixels 0-255; ImageNet's by default."""
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Standard deviation of red, green and blue, pixels 0-255; ImageNet's by default."""

    stride_on: str = "3x3"
    """Which convolution of a residual bottleneck has the stride, as in `layers.Bottleneck`."""
    conv_bias: bool = False
    """Whether residual networks' convolutions have a bias although a batch norm follows."""

    @property
    def norm_options(self) -> dict[str, Any]:
        """The batch norms' keyword arguments."""
        return {"epsilon": self.epsilon, "momentum": self.momentum}

    @property
    def layer_options(self) -> dict[str, Any]:
        """The keyword arguments of `ConvNormAct`, and of the blocks made of it."""
        return {"padding": self.padding, **self.norm_options}


TORCH = Profile(name="torch", padding="symmetric", epsilon=1e-5, momentum=0.9)
TENSORFLOW = Profile(name="tensorflow", padding="same", epsilon=1e-3, momentum=0.99)


def check_profile(name: str) -> str:
    """Returns `name`, or raises ValueError if it is not one of `PROFILES`."""
    if name not in PROFILES:
        raise ValueError(f"profile={name!r} is not one of {PROFILES}")
    return name


class Paper(NamedTuple):
    """Where an architecture was published."""

    title: str
    authors: str
    year: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One network with every option decided, before anything is built.

    Raises:
        ValueError: A rate is outside [0, 1), or the profile or output stride is unknown.
    """

    family: ClassVar[str]
    paper: ClassVar[Paper]
    min_side: ClassVar[int] = 32
    """Smallest height and width of an image, pixels."""
    head: ClassVar[tuple[str, ...]] = ("classifier",)
    """Names of the layers with weights that `include_top=False` leaves out."""
    spellings: ClassVar["Mapping[str, Source]"]
    """How checkpoints name this network's tensors, by source; set at the end of each family's
    module."""
    fixed_by_weights: ClassVar[tuple[str, ...]] = ()
    """Names of fields that change the numbers but no weight's shape: the weights were trained with
    one value, which is stored with them."""

    name: str
    """The name in the registry and the catalog."""
    side: int
    """Image side in the paper, pixels."""
    classes: int = 1000
    """Classes of the paper's data: the builder's default number of outputs."""
    dropout: float
    drop_path: float = 0.0
    output_stride: int = 32
    profile: str = "torch"
    torch: Profile = TORCH
    tensorflow: Profile = TENSORFLOW
    preset: Preset | None = None
    """The preset of the loaded weights; None takes the paper's side and the profile's mean and
    std."""

    def __post_init__(self) -> None:
        for rate in ("dropout", "drop_path"):
            value = getattr(self, rate)
            if not (is_number(value) and 0 <= value < 1):
                raise ValueError(f"{rate}={value!r} is not a number in [0, 1)")
        if self.output_stride not in OUTPUT_STRIDES:
            raise ValueError(f"output_stride={self.output_stride!r} is not one of {OUTPUT_STRIDES}")
        check_profile(self.profile)

    def check_integers(self, *names: str, least: int = 1) -> None:
        """Makes the named fields plain ints, or raises ValueError if one is below `least`."""
        for name in names:
            object.__setattr__(self, name, check_integer(name, getattr(self, name), least))

    @property
    def conventions(self) -> Profile:
        """The profile in force."""
        return self.torch if self.profile == "torch" else self.tensorflow

    @property
    def fixed_options(self) -> dict[str, Any]:
        """The `fixed_by_weights` fields by name, with the values in force."""
        return {name: getattr(self, name) for name in self.fixed_by_weights}

    @property
    def input_preset(self) -> Preset:
        """The preset in force: how images are prepared for the network."""
        if self.preset is not None:
            return self.preset
        return Preset(
            crop=self.side,
            resize=round(self.side / 0.875),
            mean=self.conventions.mean,
            std=self.conventions.std,
        )


class Stage(NamedTuple):
    """One row of a paper's table: blocks that are alike."""

    expansion: int
    kernel_size: int
    strides: int
    """Stride of the first block; the rest have 1."""
    filters: int
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block with its name, place and scaled sizes."""

    name: str
    stage: int
    """Counted from 1."""
    index: int
    """Position within the stage, from 0."""
    filters: int
    kernel_size: int
    strides: int
    dilation_rate: int
    expansion: float
    drop_path: float


def walk(
    stages: Sequence[Stage], *, output_stride: int, drop_path: float, stem_stride: int = 2
) -> Iterator[Block]:
    """Yields every block of a network, in order.

    Past `output_stride`, strides become dilation: the block that loses its stride keeps the
    dilation so far, and later blocks multiply it (the rule of MobileNetV2's segmentation).
    The drop rate grows with the block's index over all blocks: from 0 for the first to
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
