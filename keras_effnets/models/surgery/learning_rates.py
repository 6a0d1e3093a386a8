"""Smaller learning rates for layers farther from the classifier."""

import keras

from keras_effnets.models.surgery.anatomy import dissect


def layer_decay(model: keras.Model, decay: float = 0.8) -> dict[str, float]:
    """Returns a learning-rate factor per weight: 1 in the classifier, less with each block.

    The body's last layer with weights has the factor `decay`, the one before it `decay`², and so
    on. `LayerwiseAdamW` takes the result as its `factors`.

    Args:
        model: A network of this package.
        decay: Ratio of a block's factor to that of the block after it, above 0 and at most 1.

    Returns:
        Factors by the weights' paths in Keras (`stage2_block0/expand/conv/kernel`).

    Raises:
        ValueError: `decay` is outside (0, 1], or the model was not built by this package.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"decay={decay!r} is not a number in (0, 1]")
    anatomy = dissect(model)
    blocks = anatomy.blocks
    factors = {
        weight.path: decay ** (len(blocks) - index)
        for index, block in enumerate(blocks)
        for weight in block.weights
    }
    return {**factors, **{weight.path: 1.0 for head in anatomy.heads for weight in head.weights}}
