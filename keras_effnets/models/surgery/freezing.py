"""Which layers train, and whether their batch norms do."""

from typing import Any, Literal

import keras

from keras_effnets.layers.chain import layers_within, nested_layers
from keras_effnets.models.surgery.anatomy import Anatomy, dissect

BatchNorm = Literal["frozen", "trained"]


def freeze(
    model: keras.Model, until: str | float = "all", *, batch_norm: BatchNorm = "frozen"
) -> None:
    """Freezes a network's first layers, in place; the others stay as they are.

    A frozen layer keeps its weights and its moving statistics, and drops nothing. Compile the
    model afterwards.

    Args:
        model: One of ours.
        until: The last to freeze: a layer's name, or a stage's (`"stage4"`); or a share of the
            body's layers with weights, in [0, 1]; or `"all"`, everything but the classifiers.
            Where layers are not named after stages, stage k ends where the stride exceeds 2^k.
        batch_norm: Of the body's layers that train: `"frozen"` keeps their batch norms at
            inference, with gamma and beta fixed; `"trained"` lets them train.

    Raises:
        ValueError: For an unknown name or `batch_norm`, a share outside [0, 1], or a model that
            is none of ours.
    """
    anatomy = _checked(model, batch_norm)
    if until == "all":
        end = len(anatomy.trunk)
    else:
        end = anatomy.position(until, argument="until", included=True)
    for layer in anatomy.layers[:end]:
        layer.trainable = False
    _settle_norms(anatomy, batch_norm)


def unfreeze(
    model: keras.Model, since: str | float | None = None, *, batch_norm: BatchNorm = "frozen"
) -> None:
    """Lets a network's last layers train, in place, the classifiers too; the others stay.

    Compile the model afterwards.

    Args:
        model: One of ours.
        since: The first to train: a layer's name, a stage's, or the share of the body's layers
            with weights that stay before it, all as for `freeze`; None lets everything train.
        batch_norm: As for `freeze`: with the default, batch norms remain frozen.

    Raises:
        ValueError: As `freeze` does.
    """
    anatomy = _checked(model, batch_norm)
    begin = 0
    if since is not None:
        begin = anatomy.position(since, argument="since", included=False)
    _admit_training(model)
    for layer in anatomy.layers[begin:]:
        layer.trainable = True
    _settle_norms(anatomy, batch_norm)


def _checked(model: Any, batch_norm: str) -> Anatomy:
    if batch_norm not in ("frozen", "trained"):
        raise ValueError(f"batch_norm={batch_norm!r} is not one of 'frozen', 'trained'")
    return dissect(model)


def _admit_training(model: keras.Model) -> None:
    """Makes a model train that was frozen as a whole, its layers being left as they are."""
    if model.trainable:
        return
    before = [(layer, layer.trainable) for layer in nested_layers(model)]
    model.trainable = True
    for layer, trainable in before:
        layer.trainable = trainable


def _settle_norms(anatomy: Anatomy, batch_norm: str) -> None:
    """Freezes the batch norms of those layers of the body that train, or lets them train."""
    for layer in anatomy.trunk:
        if not layer.trainable:
            continue
        for inner in layers_within(layer):
            if isinstance(inner, keras.layers.BatchNormalization):
                inner.trainable = batch_norm == "trained"
