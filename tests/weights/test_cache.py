"""Published checkpoints: found in packages, checked, converted once, and never half-written."""

import dataclasses
import hashlib
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import fresh_processes
import loopback
import numpy as np
import pretrained
import pytest
from torchvision_import import import_torchvision

import keras_effnets
from keras_effnets.weights import cache
from keras_effnets.weights import download as download_module
from keras_effnets.weights import published as published_module
from keras_effnets.weights.cache import RULES_VERSION
from keras_effnets.weights.catalog import WEIGHTS
from keras_effnets.weights.download import partial_name

LITE0 = WEIGHTS["efficientnet_lite0"][0]
NAME = "efficientnet_lite0-EFFICIENTNET_PYTORCH-57934424"


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
    assert converted.name == f"{NAME}-rules{RULES_VERSION}.safetensors"
    stamp = converted.stat().st_mtime_ns
    again = keras_effnets.EfficientNetLite0(weights=LITE0.name)
    assert converted.stat().st_mtime_ns == stamp
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.usefixtures("needs_lite0")
def test_a_file_with_another_hash_is_refused():
    other = dataclasses.replace(LITE0, sha256="0" * 64)
    with pytest.raises(ValueError, match=r"SHA-256 is 5793.*but 0000"):
        cache.locate(other, "efficientnet_lite0")


def test_a_package_that_is_not_installed_is_named():
    absent = dataclasses.replace(LITE0, package="no-such-package-of-weights")
    with pytest.raises(OSError, match=r"no-such-package-of-weights.*keras_effnets\[pretrained\]"):
        cache.locate(absent, "efficientnet_lite0")


class Publisher(loopback.Handler):
    """Serves one file whole, one cut short, and one when it is told to."""

    content = b"weights" * 1000
    released = threading.Event()

    def cut(self):
        self.send(self.content[:100], announced=len(self.content))

    def absent(self):
        self.send(b"no such file", 404)

    def held(self):
        """Sends a first part, and the rest when the test says so."""
        if self.begin():
            self.whole()
            return
        self.send(self.content[:100], announced=len(self.content))
        self.wfile.flush()
        self.released.wait(60)
        self.wfile.write(self.content[100:])


DIGEST = hashlib.sha256(Publisher.content).hexdigest()


@pytest.fixture
def publisher(monkeypatch):
    monkeypatch.setattr(download_module, "PAUSE", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Publisher.released.clear()
    with loopback.serving(Publisher) as server:
        yield server
        Publisher.released.set()


def published(url: str, file: str = "x-00000000.pth", sha256: str = DIGEST):
    return dataclasses.replace(LITE0, file=file, url=url, package=None, sha256=sha256)


def kept(home: Path) -> list[str]:
    """What is in the cache, the locks excepted."""
    files = (path for path in home.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(path.relative_to(home).as_posix() for path in files)


def test_a_download_is_checked_and_kept(publisher, own_home):
    path = cache.locate(published(f"{publisher.url}/whole"), "some_model")
    assert path == own_home / "downloads" / f"{DIGEST[:8]}-x-00000000.pth"
    assert path.read_bytes() == Publisher.content
    assert cache.locate(published("http://127.0.0.1:9"), "some_model") == path


MD5 = hashlib.md5(Publisher.content).hexdigest()


def by_md5(url: str, md5: str = MD5):
    return dataclasses.replace(published(url), sha256="", md5=md5)


def test_a_download_is_checked_by_md5_where_that_is_what_is_published(publisher, own_home, caplog):
    path = cache.locate(by_md5(f"{publisher.url}/whole"), "some_model")
    assert path == own_home / "downloads" / f"{MD5[:8]}-x-00000000.pth"
    path.write_bytes(b"something else")
    assert cache.locate(by_md5(f"{publisher.url}/whole"), "some_model") == path
    assert path.read_bytes() == Publisher.content
    assert "is damaged: its MD5 is" in caplog.text
    with pytest.raises(ValueError, match=f"MD5 is {MD5}, but {'0' * 32} is published"):
        cache.locate(by_md5(f"{publisher.url}/whole", "0" * 32), "some_model")
    assert kept(own_home) == [f"downloads/{path.name}"]


def test_a_set_without_a_hash_must_come_over_https():
    with pytest.raises(ValueError, match=r"has no hash, so url='http://example\.org' must be"):
        dataclasses.replace(published("http://example.org"), sha256="")
    bare = dataclasses.replace(published("https://example.org"), sha256="")
    assert cache.download_name(bare) == bare.file
    assert "-unhashed-" in cache.conversion_name(bare, "some_model", "1")
    assert bare.checksum == ("sha256", "")


def test_files_of_one_name_do_not_meet():
    infos = (
        published("", "model.safetensors", "1" * 64),
        published("", "model.safetensors", "2" * 64),
    )
    assert len({*map(cache.download_name, infos)}) == 2
    in_its_name = published("", "efficientnet_b1-c27df63c.pth", "c27df63c")
    assert cache.download_name(in_its_name) == in_its_name.file


def test_a_name_of_a_set_is_no_path():
    info = dataclasses.replace(published(""), name="timm/b0.ra_in1k:../x")
    assert "/" not in cache.conversion_name(info, "efficientnet_b0", "1")


@pytest.mark.parametrize("way", ["absent", "cut"])
def test_a_failed_download_says_what_helps(way, publisher, own_home):
    with pytest.raises(OSError, match=r"weights-tools convert x-.*\.pth --model some_model --out"):
        cache.locate(published(f"{publisher.url}/{way}"), "some_model")
    assert [name for name in kept(own_home) if not name.endswith(".partial")] == []


def test_a_download_with_another_hash_is_not_kept(publisher, own_home):
    other = published(f"{publisher.url}/whole", sha256="0" * 64)
    with pytest.raises(ValueError, match=f"SHA-256 is {DIGEST}, but 00000"):
        cache.locate(other, "some_model")
    assert kept(own_home) == []


def test_a_damaged_download_is_fetched_again(publisher, own_home, caplog):
    info = published(f"{publisher.url}/whole")
    path = cache.locate(info, "some_model")
    path.write_bytes(b"damaged")
    assert cache.locate(info, "some_model") == path
    assert path.read_bytes() == Publisher.content
    assert "is damaged: its SHA-256 is" in caplog.text


ROOT = Path(__file__).parents[2]
CHILD = """
    import dataclasses, logging, sys, types
    # Without the package's own import, and so without Keras.
    package = sys.modules["keras_effnets"] = types.ModuleType("keras_effnets")
    package.__path__ = [sys.argv[3]]
    from keras_effnets.weights import cache
    from keras_effnets.weights.catalog import WEIGHTS
    logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
    info = dataclasses.replace(
        WEIGHTS["efficientnet_lite0"][0],
        file="x-00000000.pth", url=sys.argv[1], package=None, sha256=sys.argv[2],
    )
    print(cache.locate(info, "some_model"))
"""


def child(url: str) -> subprocess.Popen:
    """A process that locates the file at `url`; says on standard output how it gets on."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", textwrap.dedent(CHILD), url, DIGEST, ROOT / "keras_effnets"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_of_two_processes_one_downloads_and_the_other_waits(publisher, own_home):
    url = f"{publisher.url}/held"
    with child(url) as first, child(url) as second:
        starts = {first.stdout.readline().split()[0], second.stdout.readline().split()[0]}
        assert starts == {"downloading", "waiting"}
        Publisher.released.set()
        paths = {first.communicate()[0].strip(), second.communicate()[0].strip()}
    assert paths == {str(own_home / "downloads" / f"{DIGEST[:8]}-x-00000000.pth")}
    assert publisher.asked() == ["/held"]


def test_a_process_that_was_killed_is_in_nobodys_way(publisher, own_home):
    info = published(f"{publisher.url}/held")
    partial = partial_name(own_home / "downloads" / cache.download_name(info))
    with child(info.url) as killed:
        assert killed.stdout.readline().startswith("downloading")
        wait = threading.Event()
        while not publisher.requests and killed.poll() is None:
            wait.wait(0.01)
        killed.kill()
    assert partial.exists()
    Publisher.released.set()
    assert cache.locate(info, "some_model").read_bytes() == Publisher.content
    assert kept(own_home) == [f"downloads/{cache.download_name(info)}"]


@pytest.fixture
def no_home(tmp_path, monkeypatch):
    """A home where no folder can be made: even root can make none below a file."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path / "file" / "home"))


@pytest.mark.usefixtures("no_home")
def test_a_home_that_takes_nothing_is_stood_in_for(publisher, caplog):
    info = published(f"{publisher.url}/whole")
    path = cache.locate(info, "some_model")
    assert path.read_bytes() == Publisher.content
    assert cache.locate(info, "some_model") == path
    made = cache.keep(cache.CONVERTED, "other", lambda path: path.write_bytes(b""))
    assert made.parents[1] == path.parents[1]
    assert publisher.asked() == ["/whole"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "the cache cannot be written to" in caplog.text


def test_the_stand_in_ends_with_its_process(tmp_path, monkeypatch):
    script = """
        import os, sys
        from weights_tools.launch import native_messages_dropped
        with native_messages_dropped():
            from keras_effnets.weights import cache
        path = cache.keep("converted", "x", lambda path: path.write_bytes(b"made"))
        if os.fork() == 0:
            sys.exit()  # takes nothing away from its parent
        os.wait()
        assert path.read_bytes() == b"made"
        print(path)
    """
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path / "file" / "home"))
    result = fresh_processes.run(textwrap.dedent(script))
    assert result.returncode == 0, result.stderr
    path = Path(result.stdout.strip())
    assert path.name == "x"
    assert not path.parents[1].exists()


def test_what_a_read_only_home_holds_is_used(publisher, own_home, monkeypatch, caplog):
    info = published(f"{publisher.url}/whole")
    path = cache.locate(info, "some_model")

    def refuse(folder):
        raise PermissionError(f"Permission denied: {folder}")

    monkeypatch.setattr(cache, "_try", refuse)
    assert cache.locate(info, "some_model") == path
    assert caplog.records == []


def test_a_full_home_is_no_read_only_one(own_home, monkeypatch):
    def fill(folder):
        raise OSError(cache.errno.ENOSPC, "No space left on device", str(folder))

    monkeypatch.setattr(cache, "_try", fill)
    with pytest.raises(OSError, match="No space left on device"):
        cache.keep(cache.CONVERTED, "x", Path.touch)


@pytest.fixture
def mobilenet(tmp_path, publisher, monkeypatch):
    """MobileNetV2's published set, replaced by a torch checkpoint on this machine's server."""
    import_torchvision()
    import torch
    from torchvision import models

    torch.manual_seed(0)
    torch.save(models.mobilenet_v2(weights=None).state_dict(), tmp_path / "mobilenet.pth")
    monkeypatch.setattr(Publisher, "content", (tmp_path / "mobilenet.pth").read_bytes())
    digest = cache.sha256(tmp_path / "mobilenet.pth")
    info = dataclasses.replace(
        WEIGHTS["mobilenet_v2"][0],
        file=f"mobilenet_v2-{digest[:8]}.pth",
        sha256=digest[:8],
        url=f"{publisher.url}/whole",
    )
    monkeypatch.setitem(WEIGHTS, "mobilenet_v2", (info,))
    return tmp_path / "mobilenet.pth", info


def test_a_set_is_downloaded_converted_and_then_neither(mobilenet, publisher, own_home):
    path, info = mobilenet
    model = keras_effnets.MobileNetV2(weights="imagenet")
    conversion = f"converted/mobilenet_v2-{info.name}-{info.sha256}-rules{RULES_VERSION}"
    assert kept(own_home) == [f"{conversion}.safetensors", f"downloads/{info.file}"]
    (own_home / "downloads" / info.file).unlink()
    again = keras_effnets.MobileNetV2(weights=info.name)
    assert publisher.asked() == ["/whole"]
    local = keras_effnets.MobileNetV2(weights=path)
    for one, other, third in zip(model.weights, again.weights, local.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
        np.testing.assert_array_equal(one.numpy(), third.numpy())


@pytest.mark.usefixtures("no_home")
def test_a_model_is_made_where_nothing_can_be_kept(mobilenet, publisher):
    path = mobilenet[0]
    model = keras_effnets.MobileNetV2(weights="imagenet")
    keras_effnets.MobileNetV2(weights="imagenet")
    assert publisher.asked() == ["/whole"]
    local = keras_effnets.MobileNetV2(weights=path)
    for one, other in zip(model.weights, local.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_conversion_that_finds_no_room_is_not_kept(mobilenet, own_home, monkeypatch, caplog):
    path, info = mobilenet

    def fill(*arguments, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(published_module, "write_weights_file", fill)
    model = keras_effnets.MobileNetV2(weights="imagenet")
    assert "is not cached: No space left on device" in caplog.text
    assert kept(own_home) == [f"downloads/{info.file}"]
    local = keras_effnets.MobileNetV2(weights=path)
    for one, other in zip(model.weights, local.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
