"""What a summary holds: rows, and totals over them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from keras_effnets.analysis.summary import rendering

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptiveField:
    """How much of the picture a value sees."""

    sizes: tuple[int, ...]
    """Pixels along each side, (height, width); as wide as it gets by windows, padding included."""
    whole: bool
    """Whether it sees the whole picture: behind global pooling, a dense layer or a gate such as
    squeeze-and-excitation. `sizes` are then of what it sees without the gate."""
    places: tuple[int, ...]
    """Of the map along each side; ones behind global pooling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One call of a layer."""

    name: str
    path: str
    """The names of the layers around it and its own, joined by slashes."""
    kind: str
    """The class."""
    depth: int
    """1 for the model's own layers."""
    inputs: tuple[Shape, ...]
    """With the batch; None for a size that a layer leaves open though its inputs are known."""
    outputs: tuple[Shape, ...]
    kernel: tuple[int, ...] = ()
    """Of a convolution or a pooling; empty for what has none."""
    parameters: int = 0
    """Values that train unless frozen, those of the layers inside included."""
    trainable: int = 0
    """Those of them that do train."""
    statistics: int = 0
    """Values that never train, such as a batch norm's moving mean and variance."""
    shared: bool = False
    """Whether another row has the parameters already: the layer is called more than once."""
    multiply_adds: int = 0
    """Of the batch, as far as there is a rule."""
    unknown: tuple[str, ...] = ()
    """What is not in `multiply_adds`, with the reason."""
    activation_bytes: int = 0
    """Twice the outputs of the layers with parameters: those, and their gradients."""
    receptive_field: ReceptiveField | None = None
    """None where it is unknown, or where the input is no picture."""
    rows: tuple["Row", ...] = ()
    """The layers inside, in the order in which they are called."""

    def within(self, depth: int) -> Iterator["Row"]:
        """This row and those inside it, as deep as `depth`."""
        yield self
        if self.depth < depth:
            for row in self.rows:
                yield from row.within(depth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A model, layer by layer, and its totals. `print` shows it, and so does rich.

    Sizes in MB are of 10^6 bytes, as torchinfo's.
    """

    name: str
    batch_size: int
    depth: int
    definition: str
    """Of multiply-adds, as in `keras_effnets.analysis.multiply_adds`."""
    inputs: tuple[Shape, ...]
    """With the batch."""
    rows: tuple[Row, ...]
    """Of the model's own layers, with all that is inside them, however deep."""
    parameters: int
    trainable: int
    statistics: int
    multiply_adds: int
    """Of the batch, less what `unknown` names."""
    unknown: tuple[str, ...]
    """Layers whose multiply-adds no rule knows."""
    input_bytes: int
    activation_bytes: int
    parameter_bytes: int
    statistics_bytes: int

    @property
    def not_trainable(self) -> int:
        """Parameters that are frozen."""
        return self.parameters - self.trainable

    @property
    def total_bytes(self) -> int:
        """Input, activations and parameters."""
        return self.input_bytes + self.activation_bytes + self.parameter_bytes

    def shown(self) -> Iterator[Row]:
        """The rows as deep as `depth`."""
        for row in self.rows:
            yield from row.within(self.depth)

    def as_dict(self) -> dict[str, Any]:
        """All of it, as deep as `depth`, of what JSON knows."""
        return rendering.summary_dict(self)

    def tables(self, *, lines: bool = False) -> list[Table]:
        """The layers and the totals as tables of rich; `lines` rules off the head."""
        return rendering.tables(self, lines=lines)

    def markdown(self) -> str:
        """Both tables in Markdown."""
        return rendering.markdown(self)

    def __str__(self) -> str:
        return rendering.plain(self)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        yield from self.tables(lines=True)
