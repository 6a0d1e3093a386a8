"""A summary: its rows and totals, shown as rich tables, plain text, Markdown, or JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_effnets.layers.chain import Shape

NONE = "-"
COLUMNS = (
    "Layer",
    "Kind",
    "Input",
    "Output",
    "Kernel",
    ">Parameters",
    ">Trainable",
    ">Multiply-adds",
    ">Memory, MB",
    ">Receptive field",
)
"""A leading `>` aligns the column right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptiveField:
    """The part of the image that a value depends on."""

    sizes: tuple[int, ...]
    """Pixels along each side, (height, width), padding included: the widest of all windows."""
    whole: bool
    """Whether the value sees the whole image: after global pooling, a dense layer, or a gate such
    as squeeze-and-excitation. `sizes` then leave the gate out."""
    places: tuple[int, ...]
    """Size of the map, (height, width); ones after global pooling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One call of a layer."""

    name: str
    path: str
    """The names of the enclosing layers and its own, joined by slashes."""
    kind: str
    """Its class."""
    depth: int
    """1 for the model's own layers."""
    inputs: tuple[Shape, ...]
    """Shapes with the batch; None for a size that a layer leaves open."""
    outputs: tuple[Shape, ...]
    kernel: tuple[int, ...] = ()
    """Kernel of a convolution or a pooling; empty for other layers."""
    parameters: int = 0
    """Values that train unless frozen, inner layers included."""
    trainable: int = 0
    """Parameters that are not frozen."""
    statistics: int = 0
    """Values that never train, such as a batch norm's moving mean and variance."""
    shared: bool = False
    """Whether the layer was called before, so that another row has its parameters."""
    multiply_adds: int = 0
    """Multiply-adds of the batch, less those in `unknown`."""
    unknown: tuple[str, ...] = ()
    """Layers and operations without a rule for multiply-adds, with the reason."""
    activation_bytes: int = 0
    """Outputs of the layers with parameters and, as many bytes again, their gradients."""
    receptive_field: ReceptiveField | None = None
    """None if it is unknown or the input is not an image."""
    rows: tuple[LayerRow, ...] = ()
    """The layers inside, in the order of their calls."""

    def within(self, depth: int) -> Iterator[LayerRow]:
        """Yields this row and the rows inside it, down to `depth`."""
        yield self
        if self.depth < depth:
            for row in self.rows:
                yield from row.within(depth)

    def cells(self) -> list[str]:
        """The row's text for each of `COLUMNS`."""
        return [
            self.name,
            self.kind,
            " + ".join(map(_size, self.inputs)) or NONE,
            " + ".join(map(_size, self.outputs)) or NONE,
            "x".join(map(str, self.kernel)) or NONE,
            "shared" if self.shared else _count(self.parameters),
            f"{self.trainable / self.parameters:.0%}" if self.parameters else NONE,
            _count(self.multiply_adds, unknown=bool(self.unknown)),
            f"{self.activation_bytes / 1e6:,.2f}" if self.activation_bytes else NONE,
            _field_text(self.receptive_field),
        ]

    def as_dict(self, depth: int) -> dict[str, Any]:
        """The row and the rows inside it down to `depth`, as JSON-compatible values."""
        names = (
            *("name", "path", "kind", "inputs", "outputs", "kernel", "parameters", "trainable"),
            *("statistics", "shared", "multiply_adds", "unknown", "activation_bytes"),
        )
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        field = self.receptive_field
        found["receptive_field"] = None if field is None else asdict(field)
        inner = self.rows if self.depth < depth else ()
        found["layers"] = [row.as_dict(depth) for row in inner]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A model layer by layer, and its totals. Both `print` and rich show it.

    A MB is 10^6 bytes, as in torchinfo.
    """

    name: str
    batch_size: int
    depth: int
    definition: str
    """Definition of multiply-adds, see `keras_effnets.analysis.multiply_adds`."""
    inputs: tuple[Shape, ...]
    """Shapes with the batch."""
    rows: tuple[LayerRow, ...]
    """The model's own layers; each row holds the layers inside it, to any depth."""
    parameters: int
    trainable: int
    statistics: int
    multiply_adds: int
    """Multiply-adds of the batch, less those in `unknown`."""
    unknown: tuple[str, ...]
    """Layers and operations without a rule for multiply-adds, with the reason."""
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
        """Bytes of input, activations and parameters."""
        return self.input_bytes + self.activation_bytes + self.parameter_bytes

    def shown(self) -> Iterator[LayerRow]:
        """Yields the rows down to `depth`."""
        for row in self.rows:
            yield from row.within(self.depth)

    def totals(self) -> dict[str, str]:
        """The text below the table, by its label."""
        samples = "sample" if self.batch_size == 1 else "samples"
        counted = {"paper": "as papers count", "torchinfo": "as torchinfo counts"}
        found = {
            "Parameters": f"{self.parameters:,}",
            "  trainable": f"{self.trainable:,}",
            "  not trainable": f"{self.not_trainable:,}",
            "Moving statistics": f"{self.statistics:,} (Keras counts them as parameters)",
            "Multiply-adds": f"{_scaled(self.multiply_adds)} ({self.batch_size} {samples}, "
            f"{counted[self.definition]})",
            "Input": _megabytes(self.input_bytes),
            "Forward and backward": _megabytes(self.activation_bytes),
            "Memory of parameters": _megabytes(self.parameter_bytes),
            "In all": _megabytes(self.total_bytes),
        }
        if self.unknown:
            found["Multiply-adds not counted"] = "\n".join(self.unknown)
        return found

    def as_dict(self) -> dict[str, Any]:
        """The summary down to `depth`, as JSON-compatible values."""
        names = (
            *("name", "batch_size", "depth", "definition", "inputs", "parameters", "trainable"),
            *("not_trainable", "statistics", "multiply_adds", "unknown", "input_bytes"),
            *("activation_bytes", "parameter_bytes", "statistics_bytes", "total_bytes"),
        )
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        found["layers"] = [row.as_dict(self.depth) for row in self.rows]
        return found

    def tables(self, *, lines: bool = False) -> list[Table]:
        """The layers and the totals as rich tables; `lines` adds a rule below the header."""
        style = box.SIMPLE_HEAD if lines else None
        layers = Table(box=style, pad_edge=False, padding=(0, 2, 0, 0))
        for column in COLUMNS:
            layers.add_column(
                column.removeprefix(">"),
                justify="right" if column.startswith(">") else "left",
                no_wrap=not lines or column.startswith(">"),
            )
        for row in self.shown():
            name, *cells = row.cells()
            layers.add_row(*map(Text, ("  " * (row.depth - 1) + name, *cells)))
        totals = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        totals.add_column(style="dim", no_wrap=True)
        totals.add_column()
        for name, value in self.totals().items():
            totals.add_row(name, Text(value))
        return [layers, totals]

    def markdown(self) -> str:
        """Both tables in Markdown."""
        heads = [column.removeprefix(">") for column in COLUMNS]
        rules = ["---:" if column.startswith(">") else "---" for column in COLUMNS]
        rows = []
        for row in self.shown():
            name, *cells = map(_escaped, row.cells())
            rows.append([("\u00a0\u00a0" * (row.depth - 1)) + name, *cells])
        totals = [[name, _escaped(value)] for name, value in self.totals().items()]
        layers = map(_line, [heads, rules, *rows])
        return "\n".join([*layers, "", *map(_line, [["Total", ""], ["---", "---"], *totals])])

    def __str__(self) -> str:
        console = Console(width=10_000, highlight=False, no_color=True)
        parts = []
        for table in self.tables():
            with console.capture() as text:
                console.print(table)
            parts.append("\n".join(line.rstrip() for line in text.get().splitlines()))
        return "\n\n".join(parts)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        yield from self.tables(lines=True)


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def _size(shape: Shape) -> str:
    """A shape without the batch."""
    return "x".join("?" if size is None else str(size) for size in shape[1:]) or "1"


def _count(number: int, *, unknown: bool = False) -> str:
    if unknown:
        return f"{number:,} + ?" if number else "?"
    return f"{number:,}" if number else NONE


def _field_text(field: ReceptiveField | None) -> str:
    """Pixels along a side, or along both if they differ; `all` for the whole image.

    After a gate, the size without the gate follows in brackets.
    """
    if field is None:
        return NONE
    sizes = [field.sizes[0]] if len(set(field.sizes)) == 1 else list(field.sizes)
    size = "x".join(map(str, sizes))
    if not field.whole:
        return size
    return f"all ({size})" if any(places > 1 for places in field.places) else "all"


def _scaled(number: int) -> str:
    """A number in millions and so on, as torchinfo writes it."""
    for power, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= power:
            return f"{number / power:.2f} {unit}"
    return f"{number:,}"


def _megabytes(number: int) -> str:
    return f"{number / 1e6:.2f} MB"
