"""What lies beside a served model: requests that warm it up, one with its answer, instructions."""

from __future__ import annotations

import base64
import io
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.parity import probe_pictures
from weights_tools.formats.atomic import replacing

if TYPE_CHECKING:
    from keras_effnets.export.serving.plan import ServingPlan

WARMUP = "tf_serving_warmup_requests"
REQUEST, ANSWER = "golden_request.json", "golden_response.json"

_log = logging.getLogger("keras_effnets")


def write_requests(folder: Path, plan: ServingPlan) -> None:
    """Writes the warm-up requests and the golden request into a version's `assets.extra`.

    The golden answer is what the version in `folder` gives.
    """
    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    encoded = _png(plan)
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        _log.info(
            "no requests to warm the server up were written: "
            "they need pip install 'keras_effnets[serving]'"
        )
    else:
        _write_warmup(extra / WARMUP, plan, encoded, predict_pb2, prediction_log_pb2)
    if plan.preset is None:
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
    """A signature's outputs by name, as the rows that TF Serving's REST interface answers."""
    columns = {name: values.numpy().tolist() for name, values in outputs.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def write_instructions(root: Path, version: int, plan: ServingPlan, described: Artifact) -> None:
    """Writes `models.config` and README.md for all versions in `root`."""
    config = (
        "model_config_list {\n"
        "  config {\n"
        f'    name: "{plan.name}"\n'
        f'    base_path: "/models/{plan.name}"\n'
        '    model_platform: "tensorflow"\n'
        "  }\n"
        "}\n"
    )
    with replacing(root / "models.config") as file:
        file.write(config.encode())
    with replacing(root / "README.md") as file:
        file.write(_readme(version, plan, described).encode())


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value


def _png(plan: ServingPlan) -> bytes:
    """A picture that is neither square nor of the model's size."""
    side = plan.preset.resize if plan.preset else 224
    (picture,) = probe_pictures((side + 32, side + 64, 3), 1)
    stream = io.BytesIO()
    Image.fromarray(picture.astype("uint8")).save(stream, "PNG")
    return stream.getvalue()


def _write_warmup(
    path: Path, plan: ServingPlan, encoded: bytes, predict_pb2: Any, prediction_log_pb2: Any
) -> None:
    import tensorflow as tf

    pictures = probe_pictures(plan.shape)
    inputs: dict[tuple[str, str], list[Any]] = {
        ("serving_default", "images"): [pictures[:1], pictures],
        ("serve_bytes", "image_bytes"): [[encoded], [encoded] * 4] if plan.preset else [],
    }
    with tf.io.TFRecordWriter(str(path)) as writer:
        for (signature, name), batches in inputs.items():
            for batch in batches:
                request = predict_pb2.PredictRequest()
                request.model_spec.name = plan.name
                request.model_spec.signature_name = signature
                dtype = tf.string if name == "image_bytes" else plan.image_dtype
                request.inputs[name].CopyFrom(tf.make_tensor_proto(batch, dtype))
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=request)
                )
                writer.write(log.SerializeToString())


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values) + "\n", "utf-8")


def _readme(version: int, plan: ServingPlan, described: Artifact) -> str:
    shape = ", ".join(map(str, plan.shape))
    pixels = "pixels 0-255" if plan.normalizes else "normalised pixels"
    lines = [
        f"# {plan.name} for TF Serving",
        "",
        f"Written by keras_effnets {described.release}. Version {version}: {described.parity}.",
        "",
        "| signature | takes | gives |",
        "|---|---|---|",
        f"| `serving_default` | `images`: {plan.image_dtype} (B, {shape}), {pixels} "
        f"| `probabilities` (B, {plan.classes}), `classes` (B) |",
    ]
    if plan.preset:
        lines += [
            "| `serve_bytes` | `image_bytes`: (B) whole JPEG, PNG, GIF, BMP or WebP files "
            f"| `classes`, `names`, `scores`, each (B, {plan.top}) |",
        ]
    lines += [
        "",
        "Run in this folder:",
        "",
        "```sh",
        "docker run --rm -p 8500:8500 -p 8501:8501 \\",
        f'  -v "$PWD:/models/{plan.name}" tensorflow/serving \\',
        f"  --model_config_file=/models/{plan.name}/models.config",
        "```",
        "",
        "Ports: 8500 speaks gRPC, 8501 HTTP. Is the model there?",
        "",
        "```sh",
        f"curl http://localhost:8501/v1/models/{plan.name}",
        "```",
    ]
    if plan.preset:
        url = f"http://localhost:8501/v1/models/{plan.name}:predict"
        lines += [
            "",
            "The golden request, whose answer is known:",
            "",
            "```sh",
            f"curl -d @{version}/assets.extra/{REQUEST} {url}",
            f"cat {version}/assets.extra/{ANSWER}",
            "```",
            "",
            "A picture of yours:",
            "",
            "```sh",
            'echo "{\\"signature_name\\": \\"serve_bytes\\", \\"instances\\": [{\\"image_bytes\\": '
            '{\\"b64\\": \\"$(base64 -w0 picture.jpg)\\"}}]}" |',
            f"  curl -d @- {url}",
            "```",
            "",
            "What is no picture fails its whole request with `InvalidArgument` (HTTP 400): the",
            "other pictures of the request are to be sent again without it.",
        ]
    return "\n".join(lines) + "\n"
