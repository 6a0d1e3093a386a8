"""What a frozen body makes of each picture, computed once: epochs of the head then take no time.

The body runs in inference mode on the pictures as the preset prepares them, so that its features
are those that the finished model computes from the same pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_effnets.data import Pictures
from keras_effnets.prediction.evaluation import run_images
from keras_effnets.training.progress import Reporter
from weights_tools.formats.atomic import replacing

MAX_BYTES = 2 << 30
"""Of features that are kept; what is larger goes through the body again in every epoch."""


def body_features(
    body: Any, pictures: Pictures, path: Path, reporter: Reporter
) -> NDArray[np.float32]:
    """The body's output for each picture, in order; from the file at `path` where there is one.

    Args:
        body: A model from pictures to features.
        pictures: Which can all be read.
        path: Of a `.npy` file that keeps them.
        reporter: Hears of each picture.

    Returns:
        (N, …), as the body gives one.

    Raises:
        ValueError: If a picture cannot be read.
    """
    if not path.exists():
        shape = (len(pictures), *body.output_shape[1:])
        with replacing(path) as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": shape}
            )
            for row in _rows(body, pictures, reporter):
                file.write(np.ascontiguousarray(row, "<f4").data)
    features: NDArray[np.float32] = np.load(path)
    return features


def _rows(body: Any, pictures: Pictures, reporter: Reporter) -> Iterator[NDArray[np.float32]]:
    with reporter.bar("features", len(pictures)) as advance:
        for outcome in run_images(body, map(Path, pictures.paths)):
            if outcome.scores is None:
                raise ValueError(outcome.error)
            yield outcome.scores
            advance(1)


def feature_batches(
    features: NDArray[np.float32],
    targets: NDArray[np.float32],
    batch_size: int,
    *,
    weights: NDArray[np.float32] | None = None,
) -> Callable[[NDArray[np.int64]], Any]:
    """Batches of what lies in memory.

    Args:
        features: (N, …).
        targets: (N, classes), one-hot.
        batch_size: Of each batch but the last.
        weights: (N,), how much each counts, or None for equal ones.

    Returns:
        What makes a `tf.data.Dataset` of the rows in the order that it is given.
    """
    import tensorflow as tf

    columns = [features, targets] if weights is None else [features, targets, weights]
    with tf.device("cpu"):
        tensors = tuple(tf.convert_to_tensor(column) for column in columns)

    def batches(order: NDArray[np.int64]) -> Any:
        rows = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return rows.map(lambda row: tuple(tf.gather(tensor, row) for tensor in tensors)).prefetch(2)

    return batches
