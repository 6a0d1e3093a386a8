"""Classifies images with a running TF Serving over REST or gRPC.

    keras-effnets export efficientnet_lite0 --to saved-model --out served/efficientnet_lite0
    docker run …                     # the command is in served/efficientnet_lite0/README.md
    python examples/tf_serving_client.py efficientnet_lite0 cat.jpg dog.jpg --grpc

gRPC needs `pip install 'keras_effnets[serving]'`.
"""

import argparse
import base64
import json
import urllib.error
import urllib.request
from pathlib import Path

Rows = list[list[tuple[str, float]]]


def ask_rest(address: str, model: str, pictures: list[bytes]) -> Rows:
    """Returns class names and scores for each image, best first."""
    instances = [{"image_bytes": {"b64": base64.b64encode(each).decode()}} for each in pictures]
    body = json.dumps({"signature_name": "serve_bytes", "instances": instances}).encode()
    request = urllib.request.Request(
        f"http://{address}/v1/models/{model}:predict", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            predictions = json.load(response)["predictions"]
    except urllib.error.HTTPError as error:
        raise SystemExit(f"the server answers {error.code}: {error.read().decode()}") from error
    return [list(zip(row["names"], row["scores"], strict=True)) for row in predictions]


def ask_grpc(address: str, model: str, pictures: list[bytes]) -> Rows:
    """The same over gRPC, which needs fewer bytes because it does not encode in base64."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = "serve_bytes"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(pictures, tf.string))
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            outputs = stub.Predict(request, timeout=60).outputs
        except grpc.RpcError as error:
            raise SystemExit(f"the server answers {error.code()}: {error.details()}") from error
    names, scores = (tf.make_ndarray(outputs[key]) for key in ("names", "scores"))
    return [
        [(name.decode(), float(score)) for name, score in zip(*row, strict=True)]
        for row in zip(names, scores, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="its name in models.config")
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--grpc", action="store_true", help="use gRPC instead of REST")
    parser.add_argument("--address", help="default: localhost:8501, for gRPC localhost:8500")
    options = parser.parse_args()
    ask = ask_grpc if options.grpc else ask_rest
    address = options.address or ("localhost:8500" if options.grpc else "localhost:8501")
    pictures = [path.read_bytes() for path in options.pictures]
    for path, row in zip(options.pictures, ask(address, options.model, pictures), strict=True):
        print(path, *(f"{name} {score:.1%}" for name, score in row), sep="  ")


if __name__ == "__main__":
    main()
