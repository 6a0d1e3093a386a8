"""The result of a comparison: figures for a report, for JSON, and for a file's header."""

from dataclasses import asdict, dataclass
from typing import Any

PICTURES = "pictures"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The error of one part, relative to the reference's largest value."""

    name: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether it is within the tolerance."""
        return self.error <= self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first place that differs; everything computed before it agrees."""

    sublayer: str
    side: str
    """`"output"` if the sublayer itself differs, `"input"` if something before it does."""
    before: float | None
    """The error of the sublayer's input, or of the output of the sublayer before it."""
    after: float
    """The error at this place."""
    tensors: tuple[str, ...]
    """The sublayer's variables that differ from the original's."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The result of a comparison."""

    file: str
    model: str
    reference: str
    """The library and its version."""
    versions: dict[str, str]
    weights_set: str | None
    side: int
    """The input size, in pixels."""
    pictures: int
    """The number of images."""
    tolerance: float
    noise: float
    """The reference's largest error of float32 against float64."""
    spread: float
    """The spread of the reference's logits over the images."""
    stages: tuple[Comparison, ...]
    """Images, preprocessing, stem, every stage, top (averaged), logits."""
    sublayers: tuple[Comparison, ...]
    """Every input and output, in the order of computation."""
    first: Divergence | None
    top1_agreement: float
    """The share of images with the same best class as the reference."""
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is within its tolerance."""
        return self.first is None

    def to_dict(self) -> dict[str, Any]:
        """Returns values for JSON; as it has no infinity, an infinite error becomes null."""
        found = _finite({**asdict(self), "ok": self.ok})
        for name in ("stages", "sublayers"):
            found[name] = [_finite({**asdict(c), "ok": c.ok}) for c in getattr(self, name)]
        if self.first is not None:
            found["first"] = _finite(asdict(self.first))
        return found

    def summary(self) -> dict[str, Any]:
        """Returns the measured parity in a few figures, to be stored with the weights."""
        by_name = {stage.name: stage.error for stage in self.stages}
        inner = [name for name in by_name if name not in (PICTURES, "logits")]
        return _finite(
            {
                "reference": self.reference,
                "versions": dict(self.versions),
                "worst_stage": max(by_name[name] for name in inner),
                "logits": by_name["logits"],
                "top1_agreement": self.top1_agreement,
                "pictures": self.pictures,
                "side": self.side,
                "spread": self.spread,
                "tolerance": self.tolerance,
            }
        )


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if v == float("inf") else v for k, v in values.items()}
