"""Finds a checkpoint's classifier, under its source's name or another."""

from dataclasses import dataclass

from keras_effnets.weights.names.rule import Rule
from weights_tools.formats.checkpoint import Checkpoint

_MAX_POOLING = "globalmaxpooling2d"


@dataclass(frozen=True, slots=True)
class ForeignHead:
    """The classifier in a file."""

    rules: list[Rule]
    """The network's rules, with the classifier's keys in this file."""
    classes: int
    """The number of outputs; 0 without a classifier."""
    origin: str
    tensors: frozenset[str]
    """Keys of the layers after the network, which may be left out with the classifier."""
    problem: str | None = None
    """Why the classifier cannot be converted."""


def find_head(checkpoint: Checkpoint, rules: list[Rule]) -> ForeignHead:
    """Finds the classifier in a checkpoint.

    In a Keras file it may have any name: it is the one Dense layer that is not the network's.

    Args:
        checkpoint: The checkpoint.
        rules: The network's rules, with the source's name for the classifier.
    """
    tensors = checkpoint.tensors
    kernel, bias = (_of_classifier(rules, variable).source for variable in ("kernel", "bias"))
    named = {rule.source for rule in rules}
    if not checkpoint.layers:
        classes = tensors[bias].shape[0] if bias in tensors and tensors[bias].ndim else 0
        if kernel in tensors and not classes:
            classes = tensors[kernel].shape[0]  # the missing bias is reported later
        return ForeignHead(
            rules, classes, _origin(checkpoint, kernel, classes), frozenset({kernel, bias})
        )

    # Weights after the pooling have at most two axes. A Normalization comes before the network:
    # leaving it out would change everything.
    after = {
        key
        for key, tensor in tensors.items()
        if (key not in named or key in (kernel, bias))
        and (tensor.ndim <= 2 or key == kernel)
        and not key.endswith(("/mean", "/variance"))
    }
    if kernel not in tensors:
        dense = sorted(key for key in after if key.endswith("/kernel") and tensors[key].ndim == 2)
        if len(dense) > 1:
            many = (
                f"{checkpoint.path} has {len(dense)} Dense layers after the network instead of one "
                f"classifier: {', '.join(f'{key} {tensors[key].shape}' for key in dense)}; "
                "--no-top, in Python include_top=False, leaves them out"
            )
            return ForeignHead(rules, 0, "left out", frozenset(after), many)
        if dense:
            kernel = dense[0]
            bias = kernel.removesuffix("kernel") + "bias"
            renamed = {
                _of_classifier(rules, "kernel").target: kernel,
                _of_classifier(rules, "bias").target: bias,
            }
            rules = [r._replace(source=renamed.get(r.target, r.source)) for r in rules]
    classes = tensors[kernel].shape[-1] if kernel in tensors else 0
    problem = None
    if classes and any(layer.kind == _MAX_POOLING for layer in checkpoint.layers.values()):
        problem = (
            f"{checkpoint.path} has max pooling before its classifier {kernel}; networks here "
            "have average pooling: --no-top, in Python include_top=False, leaves it out"
        )
    return ForeignHead(
        rules, classes, _origin(checkpoint, kernel, classes), frozenset(after), problem
    )


def _of_classifier(rules: list[Rule], variable: str) -> Rule:
    """The rule of the classifier's kernel or bias."""
    return next(
        rule
        for rule in rules
        if rule.target.startswith("classifier/") and rule.target.endswith(f"/{variable}")
    )


def _origin(checkpoint: Checkpoint, kernel: str, classes: int) -> str:
    if not classes:
        return "none in the file"
    name = kernel.removesuffix("/kernel").removesuffix(".weight")
    layer = checkpoint.layers.get(name)
    activation = layer.config.get("activation") if layer else None
    return f"{name}, {classes} classes" + (
        f", activation {activation!r} there" if isinstance(activation, str) else ""
    )
