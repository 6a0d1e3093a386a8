"""Published checkpoints: found in packages, checked, converted once, and never half-written."""

import dataclasses
import http.server
import threading

import numpy as np
import pretrained
import pytest

import keras_effnets
from keras_effnets import cache
from keras_effnets.catalog import WEIGHTS

LITE0 = WEIGHTS["efficientnet_lite0"][0]


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def needs_lite0():
    pretrained.checkpoint()


def test_the_home_follows_its_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path))
    assert cache.home() == tmp_path
    monkeypatch.delenv("KERAS_EFFNETS_HOME")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache.home() == tmp_path / "keras_effnets"


@pytest.mark.usefixtures("needs_lite0")
def test_a_packaged_set_is_converted_once(own_home):
    model = keras_effnets.EfficientNetLite0()
    (converted,) = (own_home / "converted").iterdir()
    assert converted.name == "efficientnet_lite0-EFFICIENTNET_PYTORCH-57934424-rules1.safetensors"
    stamp = converted.stat().st_mtime_ns
    again = keras_effnets.EfficientNetLite0(weights=LITE0.name)
    assert converted.stat().st_mtime_ns == stamp
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.usefixtures("needs_lite0")
def test_a_home_that_cannot_be_written_still_works(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder can be made below a file")
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path / "file" / "home"))
    model = keras_effnets.EfficientNetLite0()
    assert model.get_layer("preprocessing").preset == LITE0.preset


@pytest.mark.usefixtures("needs_lite0")
def test_a_file_with_another_hash_is_refused():
    other = dataclasses.replace(LITE0, sha256="0" * 64)
    with pytest.raises(ValueError, match=r"SHA-256 is 5793.*published file's 0000"):
        cache.locate(other, "efficientnet_lite0")


def test_a_package_that_is_not_installed_is_named():
    absent = dataclasses.replace(LITE0, package="no-such-package-of-weights")
    with pytest.raises(OSError, match=r"no-such-package-of-weights.*keras_effnets\[pretrained\]"):
        cache.locate(absent, "efficientnet_lite0")


class Publisher(http.server.BaseHTTPRequestHandler):
    """Serves one file whole, one cut short, and nothing else."""

    content = b"weights" * 1000

    def do_GET(self):  # the base class's name
        if self.path == "/absent.pth":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[:100] if self.path == "/cut.pth" else self.content)

    def log_message(self, *args):
        pass


@pytest.fixture
def publisher():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def published(url: str, file: str, sha256: str = ""):
    return dataclasses.replace(LITE0, file=file, url=f"{url}/{file}", package=None, sha256=sha256)


def test_a_download_is_checked_and_kept(publisher, own_home, tmp_path):
    (tmp_path / "content").write_bytes(Publisher.content)
    digest = cache.sha256(tmp_path / "content")
    path = cache.locate(published(publisher, "whole.pth", digest), "some_model")
    assert path == own_home / "downloads" / "whole.pth"
    assert path.read_bytes() == Publisher.content
    closed = published("http://127.0.0.1:9", "whole.pth", digest)
    assert cache.locate(closed, "some_model") == path


@pytest.mark.parametrize("file", ["absent.pth", "cut.pth"])
def test_a_failed_download_leaves_nothing_and_says_what_helps(file, publisher, own_home):
    with pytest.raises(OSError, match=r"weights-tools convert .* --model some_model"):
        cache.locate(published(publisher, file), "some_model")
    assert not list((own_home / "downloads").iterdir())


def test_a_download_with_another_hash_is_not_kept(publisher, own_home):
    with pytest.raises(ValueError, match="SHA-256"):
        cache.locate(published(publisher, "whole.pth", "0" * 64), "some_model")
    assert not list((own_home / "downloads").iterdir())
