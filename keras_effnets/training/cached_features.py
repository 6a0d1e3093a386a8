"""Features of the frozen body, computed once, so that epochs of the head take almost no time.

The body runs in inference mode on images prepared by the preset, so its features are those that
the finished model computes from the same images.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_effnets.data import Pictures
from keras_effnets.prediction.evaluation import run_images
from keras_effnets.training.progress import Reporter
from keras_effnets.training.run_data import outputs_in_order
from weights_tools.formats.atomic import replacing

MAX_BYTES = 2 << 30
"""The limit on cached features; larger ones are recomputed in every epoch."""


def body_features(
    body: Any, pictures: Pictures, path: Path, reporter: Reporter
) -> NDArray[np.float32]:
    """Returns the body's output for each image, in order, and caches it in a file.

    Args:
        body: A model from images to features.
        pictures: The images, all readable.
        path: The cache, a `.npy` file; read instead of computing if it exists.
        reporter: Receives the progress.

    Returns:
        The features, (N, …).

    Raises:
        ValueError: If an image cannot be read.
    """
    if not path.exists():
        shape = (len(pictures), *body.output_shape[1:])
        with replacing(path) as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": shape}
            )
            scored = run_images(body, map(Path, pictures.paths))
            for row in outputs_in_order(scored, len(pictures), "features", reporter):
                file.write(np.ascontiguousarray(row, "<f4").data)
    features: NDArray[np.float32] = np.load(path)
    return features


def feature_batches(
    features: NDArray[np.float32],
    targets: NDArray[np.float32],
    batch_size: int,
    *,
    weights: NDArray[np.float32] | None = None,
) -> Callable[[NDArray[np.int64]], Any]:
    """Makes batches from features in memory.

    Args:
        features: The features, (N, …).
        targets: The one-hot targets, (N, classes).
        batch_size: The size of each batch but the last.
        weights: The sample weights, (N,); None weighs all equally.

    Returns:
        A function from an order of rows to a `tf.data.Dataset`.
    """
    import tensorflow as tf

    columns = [features, targets] if weights is None else [features, targets, weights]
    with tf.device("cpu"):
        tensors = tuple(tf.convert_to_tensor(column) for column in columns)

    def batches(order: NDArray[np.int64]) -> Any:
        rows = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return rows.map(lambda row: tuple(tf.gather(tensor, row) for tensor in tensors)).prefetch(2)

    return batches
