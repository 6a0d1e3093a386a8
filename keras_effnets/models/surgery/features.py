"""Maps of several sizes from one network, for detection and segmentation."""

from collections.abc import Sequence

import keras

from keras_effnets.models.surgery.anatomy import dissect


def feature_extractor(model: keras.Model, levels: Sequence[int] = (2, 3, 4, 5)) -> keras.Model:
    """A network that gives the last map of each level, level k having the stride 2^k.

    The layers are shared with `model`.

    Args:
        model: One of ours, with or without classifier. For pictures of any size build it with
            `input_shape=(None, None, 3)`.
        levels: Which ones, in the order of the outputs.

    Returns:
        A functional model whose output is a dict: `"level2"` a (B, H / 4, W / 4, C) map, and so
        on, sides rounded as the network rounds them.

    Raises:
        ValueError: For no levels, one twice, one that the network does not have, or a model that
            is none of ours.
    """
    anatomy = dissect(model)
    last = {
        anatomy.levels[layer.name]: layer for layer in anatomy.trunk if layer.name in anatomy.levels
    }
    levels = tuple(levels)
    if not levels or len(set(levels)) != len(levels):
        raise ValueError(f"levels={levels!r} are not one or more different ones")
    if missing := [level for level in levels if level not in last]:
        raise ValueError(
            f"levels={levels!r}: {model.name} has levels {', '.join(map(str, sorted(last)))} and "
            f"not {', '.join(map(repr, missing))}"
        )
    outputs = {f"level{level}": last[level].output for level in levels}
    return keras.Model(model.input, outputs, name=f"{model.name}_features")
