"""Feature maps of several sizes from one network, for detection and segmentation."""

from collections.abc import Sequence

import keras

from keras_effnets.models.surgery.anatomy import dissect


def feature_extractor(model: keras.Model, levels: Sequence[int] = (2, 3, 4, 5)) -> keras.Model:
    """Returns a network that outputs the last map of each level; level k has stride 2^k.

    The layers are shared with `model`.

    Args:
        model: A network of this package, with or without classifier. For images of any size,
            build it with `input_shape=(None, None, 3)`.
        levels: The levels, in the order of the outputs.

    Returns:
        A functional model whose output is a dict: `"level2"` is a (B, H / 4, W / 4, C) map, and
        so on; heights and widths are rounded as the network rounds them.

    Raises:
        ValueError: There are no levels, a level is repeated, the network lacks a level, or the
            model was not built by this package.
    """
    anatomy = dissect(model)
    last = {
        anatomy.levels[layer.name]: layer for layer in anatomy.trunk if layer.name in anatomy.levels
    }
    levels = tuple(levels)
    if not levels or len(set(levels)) != len(levels):
        raise ValueError(f"levels={levels!r} must be one or more different levels")
    if missing := [level for level in levels if level not in last]:
        raise ValueError(
            f"levels={levels!r}: {model.name} has levels {', '.join(map(str, sorted(last)))}, "
            f"not {', '.join(map(repr, missing))}"
        )
    outputs = {f"level{level}": last[level].output for level in levels}
    return keras.Model(model.input, outputs, name=f"{model.name}_features")
