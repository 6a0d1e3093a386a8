"""What a comparison of two networks means: where they part, why, and what to be wary of."""

from collections.abc import Iterator, Mapping, Sequence

from weights_tools.verify.activations import PREPARED, Samples, error, logits_point
from weights_tools.verify.recording import Reference
from weights_tools.verify.result import PICTURES, Comparison, Divergence

NOISE_FACTOR = 4
"""Where the reference in float32 is so inexact that this much of it is above the tolerance, that
is the tolerance."""
ALIVE = 0.1
"""Spread of the logits from which a reference is alive."""


def compared(
    seen: dict[str, Samples], reference: Reference, tolerance: float
) -> Iterator[Comparison]:
    """Each point of the reference, in the order of computation, and what is allowed there."""
    for point, theirs in reference.points.items():
        allowed = max(tolerance, NOISE_FACTOR * reference.noise[point])
        yield Comparison(point, error(seen.get(point), theirs), allowed)


def stages_of(sublayers: Sequence[Comparison]) -> Iterator[Comparison]:
    """A stage's features are what the first convolution after it is given."""
    part = "preprocessing"
    logits = logits_point([found.name for found in sublayers])
    for found in sublayers:
        path, _, side = found.name.partition(":")
        if found.name in (PREPARED, logits):
            name = "logits" if found.name == logits else part
            yield Comparison(name, found.error, found.tolerance)
        elif side == "input" and (now := path.split("/")[0].split("_block")[0]) != part:
            if part != "preprocessing":
                yield Comparison(part, found.error, found.tolerance)
            part = now


def first_divergence(
    pixels: Comparison,
    sublayers: Sequence[Comparison],
    own: dict[str, str],
    reference: Reference,
) -> Divergence | None:
    """The first place that differs, and why; None where everything agrees.

    Args:
        pixels: How far the pictures are apart before either network.
        sublayers: Of `compared`.
        own: Digests of our variables, by path.
        reference: With its own digests.
    """
    if not pixels.ok:
        return Divergence(
            sublayer=PICTURES,
            side="output",
            before=None,
            after=pixels.error,
            tensors=(),
            reason="the preset resizes or crops pictures otherwise than the reference does",
        )
    agreed: dict[str, float] = {}
    for found in sublayers:
        if found.ok:
            agreed[found.name] = found.error
            continue
        path, _, side = found.name.partition(":")
        last = next(reversed(agreed), None)
        if side == "output" and f"{path}:input" in agreed:
            last = f"{path}:input"
        tensors: tuple[str, ...] = ()
        if side == "output":
            inside = [name for name in own if name.startswith(f"{path}/")]
            tensors = tuple(n for n in inside if own[n] != reference.digests[n])
        return Divergence(
            sublayer=path,
            side=side,
            before=agreed.get(last) if last else None,
            after=found.error,
            tensors=tuple(name.rpartition("/")[2] for name in tensors),
            reason=_reason(found.name, last, tensors),
        )
    return None


def _reason(point: str, last: str | None, tensors: Sequence[str]) -> str:
    path, _, side = point.partition(":")
    if point == PREPARED:
        return "the preset's mean or std are not the reference's: same pixels, other input"
    if side == "input":
        before = (last or "").partition(":")[0]
        return (
            f"{before} still agrees, and what {path} is given does not: an activation, a gate, a "
            "skip or a pooling between them is not the reference's"
        )
    if tensors:
        names = ", ".join(name.rpartition("/")[2] for name in tensors)
        return f"same input, other output: its {names} {_is(tensors)} not the original's"
    return (
        "same input, other output, and its tensors are the original's: it computes otherwise, "
        "for instance with another padding, stride or epsilon"
    )


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def notes_on(reference: Reference, header: Mapping[str, str], tolerance: float) -> Iterator[str]:
    """What a reader of the comparison should know about the reference and the file's header."""
    noise = max(reference.noise.values())
    if NOISE_FACTOR * noise > tolerance:
        yield (
            f"the reference's own rounding is {noise:.1e}: where it is above {tolerance:.1e} / "
            f"{NOISE_FACTOR}, {NOISE_FACTOR} times as much is allowed"
        )
    if reference.spread < ALIVE:
        yield (
            f"the reference is not alive: spread {reference.spread:.2g} < {ALIVE}; its answers "
            "hardly depend on the picture, so that agreeing with it proves little"
        )
    if header.get("source_sha256", reference.sha256) != reference.sha256:
        yield (
            f"the file comes from the checkpoint {header['source_sha256'][:8]}…, the reference "
            f"from {reference.sha256[:8]}…"
        )
    if header.get("profile", reference.profile) != reference.profile:
        yield (
            f"the file's profile is {header['profile']!r}, and {reference.source} checkpoints "
            f"are right in {reference.profile!r}"
        )
