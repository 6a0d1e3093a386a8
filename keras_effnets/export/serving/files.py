"""Writes the files beside a served model: warm-up requests, a golden request, instructions."""

from __future__ import annotations

import base64
import io
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.parity import probe_images
from weights_tools.formats.atomic import replacing

if TYPE_CHECKING:
    from keras_effnets.export.serving.served_model import ServedModel

WARMUP = "tf_serving_warmup_requests"
REQUEST, ANSWER = "golden_request.json", "golden_response.json"

_log = logging.getLogger("keras_effnets")


def write_requests(folder: Path, spec: ServedModel) -> None:
    """Writes the warm-up requests and the golden request into a version's `assets.extra`.

    The golden response is the answer of the version in `folder`.
    """
    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    encoded = _png(spec)
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        _log.info(
            "no warm-up requests were written: they need pip install 'keras_effnets[serving]'"
        )
    else:
        _write_warmup(extra / WARMUP, spec, encoded, predict_pb2, prediction_log_pb2)
    if spec.preset is None:
        return
    import tensorflow as tf

    request = {
        "signature_name": "serve_bytes",
        "instances": [{"image_bytes": {"b64": base64.b64encode(encoded).decode()}}],
    }
    served = tf.saved_model.load(str(folder)).signatures["serve_bytes"]
    (answer,) = as_json(served(image_bytes=tf.constant([encoded])))
    _write_json(extra / REQUEST, request)
    _write_json(extra / ANSWER, {"predictions": [answer]})


def as_json(outputs: dict[str, Any]) -> list[dict[str, Any]]:
    """Turns a signature's outputs into the rows that TF Serving's REST interface returns."""
    columns = {name: values.numpy().tolist() for name, values in outputs.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def write_instructions(root: Path, version: int, spec: ServedModel, artifact: Artifact) -> None:
    """Writes `models.config` and README.md for all versions in `root`."""
    config = (
        "model_config_list {\n"
        "  config {\n"
        f'    name: "{spec.name}"\n'
        f'    base_path: "/models/{spec.name}"\n'
        '    model_platform: "tensorflow"\n'
        "  }\n"
        "}\n"
    )
    with replacing(root / "models.config") as file:
        file.write(config.encode())
    with replacing(root / "README.md") as file:
        file.write(_readme(version, spec, artifact).encode())


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value


def _png(spec: ServedModel) -> bytes:
    """Encodes an image that is neither square nor of the model's size."""
    side = spec.preset.resize if spec.preset else 224
    (image,) = probe_images((side + 32, side + 64, 3), 1)
    stream = io.BytesIO()
    Image.fromarray(image.astype("uint8")).save(stream, "PNG")
    return stream.getvalue()


def _write_warmup(
    path: Path, spec: ServedModel, encoded: bytes, predict_pb2: Any, prediction_log_pb2: Any
) -> None:
    import tensorflow as tf

    images = probe_images(spec.shape)
    inputs: dict[tuple[str, str], list[Any]] = {
        ("serving_default", "images"): [images[:1], images],
        ("serve_bytes", "image_bytes"): [[encoded], [encoded] * 4] if spec.preset else [],
    }
    with tf.io.TFRecordWriter(str(path)) as writer:
        for (signature, name), batches in inputs.items():
            for batch in batches:
                request = predict_pb2.PredictRequest()
                request.model_spec.name = spec.name
                request.model_spec.signature_name = signature
                dtype = tf.string if name == "image_bytes" else spec.image_dtype
                request.inputs[name].CopyFrom(tf.make_tensor_proto(batch, dtype))
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=request)
                )
                writer.write(log.SerializeToString())


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values) + "\n", "utf-8")


def _readme(version: int, spec: ServedModel, artifact: Artifact) -> str:
    shape = ", ".join(map(str, spec.shape))
    pixels = "pixels 0-255" if spec.normalizes else "normalised pixels"
    lines = [
        f"# {spec.name} for TF Serving",
        "",
        f"Written by keras_effnets {artifact.release}. Version {version}: {artifact.parity}.",
        "",
        "| signature | input | output |",
        "|---|---|---|",
        f"| `serving_default` | `images`: {spec.image_dtype} (B, {shape}), {pixels} "
        f"| `probabilities` (B, {spec.classes}), `classes` (B) |",
    ]
    if spec.preset:
        lines += [
            "| `serve_bytes` | `image_bytes`: (B) whole JPEG, PNG, GIF, BMP or WebP files "
            f"| `classes`, `names`, `scores`, each (B, {spec.top}) |",
        ]
    lines += [
        "",
        "Run in this folder:",
        "",
        "```sh",
        "docker run --rm -p 8500:8500 -p 8501:8501 \\",
        f'  -v "$PWD:/models/{spec.name}" tensorflow/serving \\',
        f"  --model_config_file=/models/{spec.name}/models.config",
        "```",
        "",
        "Port 8500 is gRPC, port 8501 HTTP. Check that the model is loaded:",
        "",
        "```sh",
        f"curl http://localhost:8501/v1/models/{spec.name}",
        "```",
    ]
    if spec.preset:
        url = f"http://localhost:8501/v1/models/{spec.name}:predict"
        lines += [
            "",
            "The golden request and its known response:",
            "",
            "```sh",
            f"curl -d @{version}/assets.extra/{REQUEST} {url}",
            f"cat {version}/assets.extra/{ANSWER}",
            "```",
            "",
            "Your own image:",
            "",
            "```sh",
            'echo "{\\"signature_name\\": \\"serve_bytes\\", \\"instances\\": [{\\"image_bytes\\": '
            '{\\"b64\\": \\"$(base64 -w0 image.jpg)\\"}}]}" |',
            f"  curl -d @- {url}",
            "```",
            "",
            "A file that is not an image fails its whole request with `InvalidArgument` (HTTP",
            "400): send the other images of the request again without it.",
        ]
    return "\n".join(lines) + "\n"
