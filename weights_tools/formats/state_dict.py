"""Finds the state dict in a training script's file, and the prefix that its names share."""

from collections.abc import Collection, Iterator

from weights_tools.formats.tensors import FormatError, StorageRef, TensorRef

# Keys under which training scripts store the state dict, in order of preference.
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
# Wrappers can be nested, such as `module` in `model_ema`.
_MAX_DEPTH = 3
# DataParallel and torch.compile add the first two; the others are the attributes under which
# training modules, such as Lightning's, hold their network.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")


def find_state_dict(tree: object) -> tuple[str, dict[str, TensorRef]]:
    """Returns where the state dict is in an object, such as "model_ema.module", and its tensors.

    Raises:
        FormatError: If there is no state dict, or a key in it is not a string.
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
    """Returns the prefix that all names share, such as "model.module."; usually empty."""
    prefix = ""
    while more := next((p for p in _PREFIXES if _all_start(names, prefix + p)), ""):
        prefix += more
    return prefix


def check_names(names: Collection[str]) -> None:
    """Refuses names that are not printable.

    Raises:
        FormatError: At the first such name.
    """
    for name in names:
        if not name.isprintable():
            raise FormatError(f"has a tensor named {ascii(name)[:60]}, which is not printable")


def _all_start(names: Collection[str], prefix: str) -> bool:
    return all(name.startswith(prefix) and name != prefix for name in names)


def _candidates(tree: object, depth: int) -> Iterator[tuple[str, dict[str, TensorRef]]]:
    """Yields the state dicts in a dict: preferred wrappers first, the innermost of each first."""
    if not isinstance(tree, dict):
        return
    for key in _WRAPPERS:
        if depth and key in tree:
            for inner, tensors in _candidates(tree[key], depth - 1):
                yield f"{key}.{inner}".removesuffix("."), tensors
    tensors = {name: value for name, value in tree.items() if isinstance(value, TensorRef)}
    for name in tensors:
        if not isinstance(name, str):
            raise FormatError(f"has a tensor under the key {name!r:.40}, which is not a string")
    if tensors:
        yield "", tensors
