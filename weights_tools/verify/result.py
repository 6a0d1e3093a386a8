"""What a comparison found: figures for a report, for JSON, and for a file's header."""

from dataclasses import asdict, dataclass
from typing import Any

PICTURES = "pictures"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a part is from the reference's, relative to the reference's largest value."""

    name: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether it is within the tolerance."""
        return self.error <= self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first place that differs: all before it, in the order of computation, agrees."""

    sublayer: str
    side: str
    """`"output"` where the sublayer itself differs, `"input"` where something before it does."""
    before: float | None
    """Error of what goes in: the sublayer's input, or the output of the sublayer before."""
    after: float
    """Error of what comes out."""
    tensors: tuple[str, ...]
    """The sublayer's variables that are not the original's."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a comparison found."""

    file: str
    model: str
    reference: str
    """The library and its release."""
    versions: dict[str, str]
    weights_set: str | None
    side: int
    pictures: int
    tolerance: float
    noise: float
    """Of the reference: its float32 against its float64, the worst stage."""
    spread: float
    """Of its logits among the pictures."""
    stages: tuple[Comparison, ...]
    """Pictures, preprocessing, stem, every stage, top (averaged), logits."""
    sublayers: tuple[Comparison, ...]
    """Every input and output, in the order of computation."""
    first: Divergence | None
    top1_agreement: float
    """Share of the pictures whose best class is the reference's."""
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is within its tolerance."""
        return self.first is None

    def to_dict(self) -> dict[str, Any]:
        """The same as values for JSON, which has no infinity: an error that is none is null."""
        found = _finite({**asdict(self), "ok": self.ok})
        for name in ("stages", "sublayers"):
            found[name] = [_finite({**asdict(c), "ok": c.ok}) for c in getattr(self, name)]
        if self.first is not None:
            found["first"] = _finite(asdict(self.first))
        return found

    def summary(self) -> dict[str, Any]:
        """The measured parity in a few figures, to be kept beside the weights."""
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
