"""Finds the state dict in what a training script saved, and what its names have in common."""

from collections.abc import Collection, Iterator

from weights_tools.formats.tensors import FormatError, StorageRef, TensorRef

# Where training scripts put the state dict, in the order of preference.
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "model_state",
    "module",
    "net",
    "network",
    "model_ema",
    "state_dict_ema",
    "ema_state_dict",
    "ema",
)
# One may hold another, as `model_ema` does a `module`.
_MAX_DEPTH = 3
# What DataParallel and torch.compile put before every name, and what training modules, such as
# Lightning's, call the network that they train.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")


def find_state_dict(tree: object) -> tuple[str, dict[str, TensorRef]]:
    """Returns where in a pickled object the state dict is, such as "model_ema.module", and it.

    Raises:
        FormatError: when there is none, or a name in it is no printable text.
    """
    for wrapper, tensors in _candidates(tree, _MAX_DEPTH):
        return wrapper, tensors
    match tree:
        case dict():
            keys = ", ".join(repr(key)[:40] for key in list(tree)[:8])
            what = f"a dict with the keys {keys}" if tree else "an empty dict"
        case TensorRef() | StorageRef():
            what = "a single tensor, without a name"
        case _:
            what = f"an object of type {type(tree).__name__}"
    raise FormatError(f"holds no state dict: found {what}")


def common_prefix(names: Collection[str]) -> str:
    """Returns what was put before every name, such as "model.module."; mostly nothing."""
    prefix = ""
    while more := next((p for p in _PREFIXES if _all_start(names, prefix + p)), ""):
        prefix += more
    return prefix


def check_names(names: Collection[str]) -> None:
    """Refuses names that can't be shown on a line.

    Raises:
        FormatError: for the first of them.
    """
    for name in names:
        if not name.isprintable():
            raise FormatError(f"has a tensor under {ascii(name)[:60]}, not a printable name")


def _all_start(names: Collection[str], prefix: str) -> bool:
    return all(name.startswith(prefix) and name != prefix for name in names)


def _candidates(tree: object, depth: int) -> Iterator[tuple[str, dict[str, TensorRef]]]:
    """State dicts within a dict, the deepest of the most preferred wrapper first."""
    if not isinstance(tree, dict):
        return
    for key in _WRAPPERS:
        if depth and key in tree:
            for inner, tensors in _candidates(tree[key], depth - 1):
                yield f"{key}.{inner}".removesuffix("."), tensors
    tensors = {name: value for name, value in tree.items() if isinstance(value, TensorRef)}
    for name in tensors:
        if not isinstance(name, str):
            raise FormatError(f"has a tensor under the key {name!r:.40}, not a name")
    if tensors:
        yield "", tensors
