"""Choosing which layers train, and whether their batch norms do."""

from typing import Any, Literal

import keras

from keras_effnets.layers.chain import layers_within, nested_layers
from keras_effnets.models.surgery.anatomy import Anatomy, dissect

BatchNorm = Literal["frozen", "trained"]


def freeze(
    model: keras.Model, until: str | float = "all", *, batch_norm: BatchNorm = "frozen"
) -> None:
    """Freezes a network's first layers, in place; the rest stay as they are.

    A frozen layer keeps its weights and its moving statistics, and applies no dropout. Compile
    the model afterwards.

    Args:
        model: A network of this package.
        until: The last layer or stage to freeze, by name (`"stage4"`); or a share of the body's
            layers with weights, in [0, 1]; or `"all"`, everything except the classifiers. In
            networks whose layers are not named after stages, stage k ends where the stride
            exceeds 2^k.
        batch_norm: What batch norms do in the body's layers that train: `"frozen"` keeps them in
            inference mode, with gamma and beta fixed; `"trained"` lets them train.

    Raises:
        ValueError: A name or `batch_norm` is unknown, a share is outside [0, 1], or the model was
            not built by this package.
    """
    anatomy = _checked(model, batch_norm)
    if until == "all":
        end = len(anatomy.trunk)
    else:
        end = anatomy.position(until, argument="until", included=True)
    for layer in anatomy.layers[:end]:
        layer.trainable = False
    _set_batch_norms(anatomy, batch_norm)


def unfreeze(
    model: keras.Model, since: str | float | None = None, *, batch_norm: BatchNorm = "frozen"
) -> None:
    """Lets a network's last layers and classifiers train, in place; the rest stay as they are.

    Compile the model afterwards.

    Args:
        model: A network of this package.
        since: The first layer or stage to train, by name; or the share of the body's layers with
            weights that come before it, as for `freeze`; None lets everything train.
        batch_norm: As for `freeze`; with the default, batch norms stay frozen.

    Raises:
        ValueError: As for `freeze`.
    """
    anatomy = _checked(model, batch_norm)
    begin = 0
    if since is not None:
        begin = anatomy.position(since, argument="since", included=False)
    _unfreeze_model(model)
    for layer in anatomy.layers[begin:]:
        layer.trainable = True
    _set_batch_norms(anatomy, batch_norm)


def _checked(model: Any, batch_norm: str) -> Anatomy:
    if batch_norm not in ("frozen", "trained"):
        raise ValueError(f"batch_norm={batch_norm!r} is not one of 'frozen', 'trained'")
    return dissect(model)


def _unfreeze_model(model: keras.Model) -> None:
    """Unfreezes a model that was frozen as a whole, without changing its layers."""
    if model.trainable:
        return
    before = [(layer, layer.trainable) for layer in nested_layers(model)]
    model.trainable = True
    for layer, trainable in before:
        layer.trainable = trainable


def _set_batch_norms(anatomy: Anatomy, batch_norm: str) -> None:
    """Freezes the batch norms in the body's layers that train, or lets them train."""
    for layer in anatomy.trunk:
        if not layer.trainable:
            continue
        for inner in layers_within(layer):
            if isinstance(inner, keras.layers.BatchNormalization):
                inner.trainable = batch_norm == "trained"
