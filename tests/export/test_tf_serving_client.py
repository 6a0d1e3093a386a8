"""The example's clients against servers that speak TF Serving's protocols.

TF Serving itself does not run here: a stand-in on loopback replaces it. For gRPC it implements the
real service definition, so that the messages are the protocol's own; for REST it reads and writes
the JSON that TF Serving documents. Both run the exported model.
"""

import base64
import json
import runpy
import sys
import threading
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import keras
import pytest
import tensorflow as tf
from small_networks import living
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from keras_effnets.export import export_saved_model
from keras_effnets.export.parity import probe_images
from keras_effnets.export.serving.files import as_json

EXAMPLE = Path(__file__).parents[2] / "examples" / "tf_serving_client.py"


@pytest.fixture(scope="module")
def signatures(tmp_path_factory):
    keras.utils.set_random_seed(1)
    root = tmp_path_factory.mktemp("client")
    version = export_saved_model(living("vgg"), root, labels=["ant", "bee", "cat", "dog"], top=2)
    return tf.saved_model.load(str(version)).signatures


@pytest.fixture
def images(tmp_path):
    paths = []
    for index, pixels in enumerate(probe_images((40, 60, 3), 2)):
        paths.append(tmp_path / f"{index}.png")
        paths[-1].write_bytes(tf.io.encode_png(tf.constant(pixels, tf.uint8)).numpy())
    return paths


@contextmanager
def rest(signatures):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/models/small:predict"
            files = [base64.b64decode(row["image_bytes"]["b64"]) for row in body["instances"]]
            try:
                rows = as_json(signatures[body["signature_name"]](image_bytes=tf.constant(files)))
                status, answer = 200, {"predictions": rows}
            except tf.errors.InvalidArgumentError as error:
                status, answer = 400, {"error": error.message}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass  # the stand-in keeps no log

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def by_grpc(signatures):
    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            assert request.model_spec.name == "small"
            inputs = {name: tf.constant(tf.make_ndarray(x)) for name, x in request.inputs.items()}
            try:
                outputs = signatures[request.model_spec.signature_name](**inputs)
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            response = predict_pb2.PredictResponse()
            for name, values in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(values.numpy()))
            return response

    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


PROTOCOLS = {"rest": (rest, []), "grpc": (by_grpc, ["--grpc"])}


def run(monkeypatch, protocol, signatures, images):
    serve, options = PROTOCOLS[protocol]
    with serve(signatures) as address:
        arguments = [str(EXAMPLE), "small", *map(str, images), "--address", address, *options]
        monkeypatch.setattr(sys, "argv", arguments)
        runpy.run_path(str(EXAMPLE), run_name="__main__")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_names_come_back(protocol, signatures, images, monkeypatch, capsys):
    run(monkeypatch, protocol, signatures, images)
    expected = as_json(
        signatures["serve_bytes"](image_bytes=tf.constant([each.read_bytes() for each in images]))
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line, path, row in zip(lines, images, expected, strict=True):
        pairs = zip(row["names"], row["scores"], strict=True)
        best = [f"{name} {score:.1%}" for name, score in pairs]
        assert line == "  ".join([str(path), *best])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_bad_image_is_the_servers_error(protocol, signatures, images, monkeypatch):
    images[1].write_bytes(b"no picture")
    with pytest.raises(SystemExit, match=r"the server answers (400|StatusCode.INVALID_ARGUMENT)"):
        run(monkeypatch, protocol, signatures, images)
