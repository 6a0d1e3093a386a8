"""A TensorFlow SavedModel that TF Serving serves: pictures in, names out, no Python."""

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
from keras_effnets.export.parity import compare, probe_pictures, reference_outputs
from keras_effnets.export.serving import files as serving_files
from keras_effnets.export.serving.plan import ServingPlan, serving_plan
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

    Batch norms are folded, weights are constants, grouped convolutions are plain ones: the graph
    needs no custom code, no XLA and no oneDNN. Its signatures:

    - `serving_default`: `images` (B, H, W, 3), pixels 0-255, to `probabilities` (B, classes) and
      `classes` (B,), the index of the first.
    - `serve_bytes`: `image_bytes` (B,), whole JPEG, PNG, GIF, BMP or WebP files, to `classes`,
      `names` and `scores`, each (B, top), best first. Decoding, EXIF orientation of JPEGs,
      resizing and cropping are those of the model's preset. One file that is no picture fails the
      whole request, with TensorFlow's InvalidArgument.

    Beside the model come requests that warm a server up (with the `serving` extra), a request
    with its answer, and in `directory` a `models.config` and a README with the lines to run. The
    version is written beside its place and renamed when it is whole and was compared with the
    model: a server that watches never sees half of it.

    Args:
        model: From pictures to scores of classes, functional or sequential; ours or another. A
            softmax is added to logits.
        directory: Of all versions; made if there is none.
        version: A positive number; None takes the one after the highest there is.
        labels: The classes' names; None takes the model's own, or ImageNet's for 1000 classes.
        preset: How pictures are prepared; None takes the model's own. A model without one gets no
            `serve_bytes`.
        top: How many classes `serve_bytes` names, at most.
        image_dtype: Of `images`: "float32" or "uint8".
        overwrite: Whether a version that is there is replaced.
        tolerance: Largest difference of the probabilities, over the largest.

    Returns:
        The version's path.

    Raises:
        ValueError: For an argument out of its range, another backend than TensorFlow, or a model
            that is none of these.
        FileExistsError: If the version is there, unless `overwrite`.
        ParityError: If the artifact does not give what the model gives. Nothing is kept.
        OSError: If the directory cannot be written to.
    """
    plan = serving_plan(model, labels, preset, top, image_dtype)
    root = Path(directory)
    root.mkdir(parents=True, exist_ok=True)
    number = _next(root) if version is None else _checked(version)
    target = root / str(number)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target}: there is such a version; pass overwrite to replace it")
    with _whole(target) as folder:
        _save(fold_batch_norm(model), plan, folder)
        parity = _compared(model, plan, folder, tolerance)
        serving_files.write_requests(folder, plan)
        described = Artifact.of(
            model,
            format="saved-model",
            precision="float32",
            parity=parity,
            bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        )
        described.write(folder / "assets.extra" / DESCRIPTION)
    serving_files.write_instructions(root, number, plan, described)
    return target


def _next(root: Path) -> int:
    return 1 + max((int(each.name) for each in root.iterdir() if each.name.isdecimal()), default=0)


def _checked(version: int) -> int:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"version={version!r} is not an integer of 1 or more")
    return version


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A folder that becomes `target` when the block ends well, and is gone otherwise.

    Its name is no number: a server takes no notice of it.
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
    except BaseException:  # an interruption too leaves no half version
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _save(model: keras.Model, plan: ServingPlan, folder: Path) -> None:
    import tensorflow as tf

    from keras_effnets.export.serving.decoding import prepared_picture

    scores = _frozen(model, plan)
    module = tf.Module()
    images = tf.TensorSpec((None, *plan.shape), plan.image_dtype, name="images")

    @tf.function(input_signature=[images])
    def serve(images: Any) -> dict[str, Any]:
        probabilities = scores(tf.cast(images, tf.float32))
        return {
            "probabilities": probabilities,
            "classes": tf.argmax(probabilities, axis=-1, output_type=tf.int32),
        }

    signatures = {"serving_default": serve}
    if plan.preset is not None:
        preset, names = plan.preset, tf.constant(plan.names)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
        def serve_bytes(image_bytes: Any) -> dict[str, Any]:
            pictures = tf.map_fn(
                lambda encoded: _as_taken(prepared_picture(encoded, preset), plan),
                image_bytes,
                fn_output_signature=tf.TensorSpec((preset.crop, preset.crop, 3), tf.float32),
            )
            best, classes = tf.math.top_k(scores(pictures), plan.top)
            return {"classes": classes, "names": tf.gather(names, classes), "scores": best}

        signatures["serve_bytes"] = serve_bytes
    # Gradients are for training: SiLU's own could not be saved without its variables.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(folder), signatures=signatures, options=options)


def _as_taken(picture: Any, plan: ServingPlan) -> Any:
    """Pixels as the model takes them."""
    if plan.normalizes or plan.preset is None:
        return picture
    return (picture - np.array(plan.preset.mean, np.float32)) / np.array(
        plan.preset.std, np.float32
    )


def _frozen(model: keras.Model, plan: ServingPlan) -> Callable[[Any], Any]:
    """The model from float pictures to probabilities, its weights constants of the graph."""
    import tensorflow as tf

    with portable_convolutions():
        function = freeze_graph(model).function

    def probabilities(images: Any) -> Any:
        (scores,) = function(images)
        return tf.nn.softmax(scores) if plan.logits else scores

    return probabilities


def _compared(model: keras.Model, plan: ServingPlan, folder: Path, tolerance: float) -> Any:
    import tensorflow as tf

    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    pictures = probe_pictures(plan.shape)
    if not plan.normalizes:
        pictures = np.asarray(_as_taken(pictures, plan))
    reference = reference_outputs(model, pictures)
    if plan.logits:
        reference = np.asarray(tf.nn.softmax(reference))
    outputs = served(images=tf.constant(pictures, plan.image_dtype))["probabilities"]
    return compare(reference, outputs, tolerance=tolerance)
