"""Exports a SavedModel for TF Serving: images in, class names out, without Python."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.frozen_graph import freeze_graph
from keras_effnets.export.parity import compare, probe_images, reference_outputs
from keras_effnets.export.serving import files as serving_files
from keras_effnets.export.serving.served_model import ServedModel, served_model
from keras_effnets.images.preprocessing import normalized
from keras_effnets.images.preset import Preset
from keras_effnets.layers.grouped_conv import portable_convolutions
from keras_effnets.models.surgery import fold_batch_norm

DESCRIPTION = "keras_effnets.json"
"""The artifact's description, in `assets.extra` of a version."""


def export_saved_model(
    model: keras.Model,
    directory: str | os.PathLike[str],
    version: int | None = None,
    labels: Sequence[str] | None = None,
    *,
    preset: Preset | None = None,
    top: int = 5,
    image_dtype: str = "float32",
    overwrite: bool = False,
    tolerance: float = 1e-3,
) -> Path:
    """Writes `directory/version`, which TF Serving loads as it is.

    Batch norms are folded, weights are constants, and grouped convolutions are split into plain
    ones: the graph needs no custom code, XLA or oneDNN. Its signatures:

    - `serving_default`: `images` (B, H, W, 3), pixels 0-255, to `probabilities` (B, classes) and
      `classes` (B,), the index of the best class.
    - `serve_bytes`: `image_bytes` (B,), whole JPEG, PNG, GIF, BMP or WebP files, to `classes`,
      `names` and `scores`, each (B, top), best first. JPEGs are turned by their EXIF orientation;
      images are resized and cropped by the model's preset. One file that is not an image fails
      the whole request with TensorFlow's InvalidArgument.

    Beside the model there are warm-up requests (with the `serving` extra) and a request with its
    response, and in `directory` a `models.config` and a README with the commands to run. The
    version is written under a temporary name, compared with the model, and then renamed: a server
    that watches the directory never sees an incomplete version.

    Args:
        model: A functional or sequential classifier of images, from this package or elsewhere.
            Logits go through a softmax.
        directory: The folder of all versions; created if it does not exist.
        version: A positive integer; None uses the highest existing version plus 1.
        labels: The class names; None uses the model's own, or ImageNet's for 1000 classes.
        preset: How images are prepared; None uses the model's own. A model without a preset gets
            no `serve_bytes`.
        top: The most classes that `serve_bytes` names.
        image_dtype: The type of `images`: "float32" or "uint8".
        overwrite: Whether to replace an existing version.
        tolerance: The largest difference allowed, as in `parity.compare`.

    Returns:
        The version's path.

    Raises:
        ValueError: An argument is out of its range, Keras runs on another backend than
            TensorFlow, or the model is not a classifier of images.
        FileExistsError: The version exists, and `overwrite` is False.
        ParityError: The outputs differ from the model's; nothing is kept.
        OSError: The directory can't be written to.
    """
    spec = served_model(model, labels, preset, top, image_dtype)
    root = Path(directory)
    root.mkdir(parents=True, exist_ok=True)
    number = _next(root) if version is None else _checked(version)
    target = root / str(number)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target}: this version exists; pass overwrite to replace it")
    with _whole(target) as folder:
        _save(fold_batch_norm(model), spec, folder)
        parity = _compared(model, spec, folder, tolerance)
        serving_files.write_requests(folder, spec)
        artifact = Artifact.of(
            model,
            format="saved-model",
            precision="float32",
            parity=parity,
            bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        )
        artifact.write(folder / "assets.extra" / DESCRIPTION)
    serving_files.write_instructions(root, number, spec, artifact)
    return target


def _next(root: Path) -> int:
    return 1 + max((int(each.name) for each in root.iterdir() if each.name.isdecimal()), default=0)


def _checked(version: int) -> int:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"version={version!r} is not an integer of 1 or more")
    return version


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Yields a folder that becomes `target` if the block succeeds, and is deleted otherwise.

    Its name is not a number, so that a server ignores it.
    """
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield folder
        mask = os.umask(0)
        os.umask(mask)
        folder.chmod(0o777 & ~mask)
        if target.exists():
            old = folder.with_name(f"{folder.name}.old")
            target.rename(old)
            folder.rename(target)
            shutil.rmtree(old)
        else:
            folder.rename(target)
    except BaseException:  # KeyboardInterrupt too must leave no partial version
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _save(model: keras.Model, spec: ServedModel, folder: Path) -> None:
    import tensorflow as tf

    from keras_effnets.export.serving.decoding import prepared_image

    scores = _frozen(model, spec)
    module = tf.Module()
    images = tf.TensorSpec((None, *spec.shape), spec.image_dtype, name="images")

    @tf.function(input_signature=[images])
    def serve(images: Any) -> dict[str, Any]:
        probabilities = scores(tf.cast(images, tf.float32))
        return {
            "probabilities": probabilities,
            "classes": tf.argmax(probabilities, axis=-1, output_type=tf.int32),
        }

    signatures = {"serving_default": serve}
    if spec.preset is not None:
        preset, names = spec.preset, tf.constant(spec.names)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
        def serve_bytes(image_bytes: Any) -> dict[str, Any]:
            images = tf.map_fn(
                lambda encoded: _prepared(prepared_image(encoded, preset), spec),
                image_bytes,
                fn_output_signature=tf.TensorSpec((preset.crop, preset.crop, 3), tf.float32),
            )
            best, classes = tf.math.top_k(scores(images), spec.top)
            return {"classes": classes, "names": tf.gather(names, classes), "scores": best}

        signatures["serve_bytes"] = serve_bytes
    # Only training needs gradients; SiLU's custom gradient can't be saved without its variables.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(folder), signatures=signatures, options=options)


def _prepared(pixels: Any, spec: ServedModel) -> Any:
    """Returns pixels as the model takes them."""
    if spec.normalizes or spec.preset is None:
        return pixels
    return normalized(pixels, spec.preset)


def _frozen(model: keras.Model, spec: ServedModel) -> Callable[[Any], Any]:
    """Returns a function from float images to probabilities, with the weights as constants."""
    import tensorflow as tf

    with portable_convolutions():
        function = freeze_graph(model).function

    def probabilities(images: Any) -> Any:
        (scores,) = function(images)
        return tf.nn.softmax(scores) if spec.logits else scores

    return probabilities


def _compared(model: keras.Model, spec: ServedModel, folder: Path, tolerance: float) -> Any:
    import tensorflow as tf

    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    images = _prepared(probe_images(spec.shape), spec)
    reference = reference_outputs(model, images)
    if spec.logits:
        reference = np.asarray(tf.nn.softmax(reference))
    outputs = served(images=tf.constant(images, spec.image_dtype))["probabilities"]
    return compare(reference, outputs, tolerance=tolerance)
