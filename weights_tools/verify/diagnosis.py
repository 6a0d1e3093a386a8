"""Interprets a comparison of two networks: where they diverge, why, and what to keep in mind."""

from collections.abc import Iterator, Mapping, Sequence

from weights_tools.verify.activations import PREPARED, Samples, error, logits_point
from weights_tools.verify.recording import Reference
from weights_tools.verify.result import PICTURES, Comparison, Divergence

NOISE_FACTOR = 4
"""The tolerance of a point is at least this many times the reference's own float32 error there."""
ALIVE = 0.1
"""The least spread of the logits at which agreement with the reference means something."""


def compared(
    seen: dict[str, Samples], reference: Reference, tolerance: float
) -> Iterator[Comparison]:
    """Compares each point of the reference, in the order of computation."""
    for point, expected in reference.points.items():
        allowed = max(tolerance, NOISE_FACTOR * reference.noise[point])
        yield Comparison(point, error(seen.get(point), expected), allowed)


def stages_of(sublayers: Sequence[Comparison]) -> Iterator[Comparison]:
    """Yields the comparison of each stage's output, which is the next convolution's input."""
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
    """Finds the first place that differs, and why; None if everything agrees.

    Args:
        pixels: The comparison of the resized images, before either network.
        sublayers: The comparisons of `compared`.
        own: Digests of our variables, by path.
        reference: The reference, with its own digests.
    """
    if not pixels.ok:
        return Divergence(
            sublayer=PICTURES,
            side="output",
            before=None,
            after=pixels.error,
            tensors=(),
            reason="the preset resizes or crops images differently than the reference",
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
        return "the preset's mean or std differ from the reference's: same pixels, different input"
    if side == "input":
        before = (last or "").partition(":")[0]
        return (
            f"{before} still agrees, but the input of {path} does not: an activation, gate, skip "
            "or pooling between them differs from the reference's"
        )
    if tensors:
        names = ", ".join(name.rpartition("/")[2] for name in tensors)
        verb = "differs" if len(tensors) == 1 else "differ"
        return f"same input, different output: its {names} {verb} from the original's"
    return (
        "same input, different output, but its tensors equal the original's: it computes something "
        "else, for instance with another padding, stride or epsilon"
    )


def notes_on(reference: Reference, header: Mapping[str, str], tolerance: float) -> Iterator[str]:
    """Yields notes on the reference and on the file's header, for the report."""
    noise = max(reference.noise.values())
    if NOISE_FACTOR * noise > tolerance:
        yield (
            f"the reference's own rounding error is {noise:.1e}: where it is above "
            f"{tolerance:.1e} / {NOISE_FACTOR}, {NOISE_FACTOR} times that error is allowed"
        )
    if reference.spread < ALIVE:
        yield (
            f"the reference's logits hardly depend on the image (spread {reference.spread:.2g}, "
            f"below {ALIVE}): agreement with it proves little"
        )
    if header.get("source_sha256", reference.sha256) != reference.sha256:
        yield (
            f"the file was converted from checkpoint {header['source_sha256'][:8]}…, but the "
            f"reference ran {reference.sha256[:8]}…"
        )
    if header.get("profile", reference.profile) != reference.profile:
        yield (
            f"the file's profile is {header['profile']!r}, but {reference.source} checkpoints "
            f"need {reference.profile!r}"
        )
