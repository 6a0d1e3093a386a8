"""Both layouts of Keras's files as tensors named `layer/variable`.

A layer of a nested model is named `model/layer/variable`. The older layout has a group for each
layer of the outermost model, with the variables by name. The newer one has groups by class,
`layers/conv2d_3/vars/0`: the attribute `name`, or the model's config, tells which layer that is,
and the class tells what the number means. Optimizer state and metrics are ignored.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from weights_tools.formats.tensors import FormatError

if TYPE_CHECKING:
    from weights_tools.formats.keras_format.hdf5 import Contents

_KERNEL = ("kernel", "bias")
_VARIABLES = {
    "conv2d": _KERNEL,
    "depthwiseconv2d": _KERNEL,
    "dense": _KERNEL,
    "normalization": ("mean", "variance", "count"),
}
_NORM, _STATISTICS = "batchnormalization", ("moving_mean", "moving_variance")
# Groups in the file of a compiled model that are not layers.
_NOT_LAYERS = ("optimizer", "optimizer_weights", "metrics")


class KerasLayer(NamedTuple):
    """The description of a layer in a file."""

    kind: str
    """The layer's class, in lowercase without underscores: "depthwiseconv2d"."""
    config: dict[str, Any]
    """The layer's config; empty where the file has none."""
    registered: str = ""
    """The registered name of its class, "package>Class"; empty for Keras's own."""


class KerasFile(NamedTuple):
    """The contents of a Keras file."""

    format: str
    tensors: dict[str, NDArray[Any]]
    """Tensors by `layer/variable`."""
    metadata: dict[str, str]
    layers: dict[str, KerasLayer]
    """All layers that the file describes, by path, including those without variables."""


def json_object(encoded: str | bytes, what: str) -> dict[str, Any]:
    """Decodes a JSON object; errors call it `what`.

    Raises:
        ValueError: If `encoded` is not JSON, or not an object.
    """
    value = json.loads(encoded)
    if not isinstance(value, dict):
        raise FormatError(f"its {what} is not a JSON object")
    return value


def _sublayers(config: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """Returns the kind, name and config of each layer in a model's config, in order."""
    match config:
        case {"config": {"layers": [*layers]}}:
            pass
        case _:
            return []
    found = []
    for layer in layers:
        match layer:
            case {"class_name": str(kind), "config": {"name": str(name)}}:
                found.append((kind.rpartition(">")[2].lower(), name, layer))
    return found


def _layers_of(config: Any, prefix: str = "") -> Iterator[tuple[str, KerasLayer]]:
    for kind, name, layer in _sublayers(config):
        # Whole models in `.h5` have it in `class_name`.
        origins = (layer.get("registered_name"), layer["class_name"])
        registered = next((o for o in origins if isinstance(o, str) and ">" in o), "")
        yield prefix + name, KerasLayer(kind, layer["config"], registered)
        yield from _layers_of(layer, f"{prefix}{name}/")


def by_class(
    kind: str, contents: "Contents", config: dict[str, Any], metadata: dict[str, str]
) -> KerasFile:
    """Reads the layout of Keras 3, and of `.keras` in Keras 2.

    Args:
        kind: The format for `KerasFile.format`.
        contents: The contents of the HDF5 file.
        config: The model's config; empty if the file has none.
        metadata: The metadata for the result.

    Raises:
        FormatError: If the file does not name its layers.
    """
    told = dict(_layers_of(config))
    values: dict[str, dict[str, NDArray[Any]]] = defaultdict(dict)
    for key, value in contents.datasets.items():
        group, _, number = key.rpartition("/")
        values[group][number] = value
    paths: dict[str, str] = {"": ""}  # each layer's path, by its group
    configs: dict[str, Any] = {"": config}
    layers: dict[str, KerasLayer] = {}
    tensors: dict[str, NDArray[Any]] = {}
    # Outer layers first.
    for group in sorted(contents.groups, key=lambda name: name.count("/")):
        owner, _, last = group.rpartition("/")
        if last != "vars" or not owner or owner.partition("/")[0] in _NOT_LAYERS:
            continue
        parent, _, component = owner.rpartition("/")
        while parent not in paths:
            parent = parent.rpartition("/")[0]
        own_config = _nth(configs[parent], component)
        name = contents.groups[group].get("name") or (own_config or {}).get("config", {}).get(
            "name"
        )
        if name is None:
            if values[group]:
                raise FormatError(
                    f"does not say which layer {owner!r} is, as newer versions of Keras do: load "
                    "it into its model and save the model again, as .keras or .h5"
                )
            continue
        path = f"{paths[parent]}/{name}" if paths[parent] else name
        paths[owner], configs[owner] = path, own_config
        layers[path] = told.get(path) or KerasLayer(_kind(component, name), {})
        names = _variables(layers[path], len(values[group]))
        for number, value in values[group].items():
            _put(tensors, f"{path}/{names.get(number, number)}", value)
    # In the config's order, which is the order of computation.
    ordered = {path: layers[path] for path in (*told, *layers) if path in layers}
    return _finished(kind, tensors, metadata, ordered)


def _kind(component: str, name: str) -> str:
    """Returns a layer's class, from the name of its group or, failing that, of the layer."""
    kinds = [_squashed(text)[0] for text in (component, name)]
    return next((kind for kind in kinds if kind in _VARIABLES or kind == _NORM), kinds[0])


def _squashed(component: str) -> tuple[str, int]:
    """Splits a name into kind and number: "depthwise_conv2d_3" gives ("depthwiseconv2d", 3)."""
    found = re.fullmatch(r"(.*?)(?:_(\d+))?", component)
    assert found is not None
    return found[1].replace("_", ""), int(found[2] or 0)


def _nth(config: Any, component: str) -> dict[str, Any] | None:
    """Returns the config of a group's layer: "conv2d_3" is the fourth layer of its class."""
    kind, number = _squashed(component)
    of_kind = [layer for other, _, layer in _sublayers(config) if other.replace("_", "") == kind]
    return of_kind[number] if number < len(of_kind) else None


def _variables(layer: KerasLayer, count: int) -> dict[str, str]:
    """Returns names for the numbers in a `vars` group; none for classes that no rule needs."""
    if layer.kind != _NORM:
        names: tuple[str, ...] = _VARIABLES.get(layer.kind, ())
    elif count == 3 and not layer.config:
        return {}  # gamma or beta is missing, and the file does not tell which
    else:
        scaled = layer.config.get("scale", count == 4)
        centred = layer.config.get("center", count == 4)
        names = (*["gamma"] * bool(scaled), *["beta"] * bool(centred), *_STATISTICS)
    return {str(index): name for index, name in enumerate(names[:count])}


def by_layer(contents: "Contents", metadata: dict[str, str]) -> KerasFile:
    """Reads the layout of Keras 2's `.h5`, of a whole model or of weights; Keras 3 still writes it.

    Args:
        contents: The contents of the HDF5 file.
        metadata: The metadata for the result.

    Raises:
        FormatError: If the file has no layers.
    """
    whole = "model_weights" in contents.groups
    root = "model_weights/" if whole else ""
    encoded = contents.groups[""].get("model_config") if whole else None
    layers = dict(_layers_of(json_object(encoded, "model_config"))) if encoded else {}
    for group in () if encoded else contents.groups:
        name = group.removeprefix(root)
        if group.startswith(root) and name and "/" not in name:
            layers[name] = KerasLayer(_squashed(name)[0], {})
    tensors: dict[str, NDArray[Any]] = {}
    for path, tensor in contents.datasets.items():
        if not path.startswith(root) or path.partition("/")[0] in _NOT_LAYERS:
            continue
        layer, _, variable = path.removeprefix(root).removesuffix(":0").partition("/")
        *scope, name = variable.split("/")
        # "dense/sequential/dense/kernel" belongs to a layer of the outermost model and contains
        # the scope that created it; "backbone/stem/kernel" belongs to a layer of a nested model.
        if layer in scope:
            scope = scope[scope.index(layer) + 1 :]
        name = "kernel" if name == "depthwise_kernel" else name
        _put(tensors, "/".join([layer, *scope, name]), tensor)
    return _finished("Keras HDF5", tensors, metadata, layers)


def _put(tensors: dict[str, NDArray[Any]], name: str, tensor: NDArray[Any]) -> None:
    if name in tensors:
        raise FormatError(f"has two tensors named {name!r}")
    tensors[name] = tensor


def _finished(
    kind: str,
    tensors: dict[str, NDArray[Any]],
    metadata: dict[str, str],
    layers: dict[str, KerasLayer],
) -> KerasFile:
    if not tensors:
        raise FormatError("is an HDF5 file without layer variables: Keras did not write it")
    return KerasFile(kind, tensors, metadata, layers)
