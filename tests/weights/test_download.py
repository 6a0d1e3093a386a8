"""One file over HTTP, from servers that do what servers do on bad days."""

import hashlib
import io
import shutil
import socket
import sys
import threading
import urllib.request
from collections import namedtuple

import loopback
import numpy as np
import pytest

from keras_effnets.weights import download as module
from keras_effnets.weights.download import download, partial_name

CONTENT = np.random.default_rng(0).bytes(1_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
CUT = 300_000


class Publisher(loopback.Handler):
    content = CONTENT
    released = threading.Event()

    def cut(self):
        """Hangs up in the middle of the first answer."""
        if self.begin():
            self.whole()
        else:
            self.send(CONTENT[:CUT], announced=len(CONTENT))

    def cut_without_ranges(self):
        if len(self.server.requests) == 1:
            self.send(CONTENT[:CUT], announced=len(CONTENT))
        else:
            self.send(CONTENT)

    def always_cut(self):
        self.send(CONTENT[: CUT // 100], announced=len(CONTENT))

    def stalls(self):
        self.send(CONTENT[:CUT], announced=len(CONTENT))
        self.released.wait(60)

    def silent(self):
        self.released.wait(60)

    def busy(self):
        if len(self.server.requests) < 3:
            self.send(b"later", 503)
        else:
            self.whole()

    def absent(self):
        self.send(b"no such file", 404)

    def forbidden(self):
        self.send(b"not for you", 403)

    def moved(self):
        self.send(b"", 302, Location="/whole/x.pth")

    def to_a_file(self):
        self.send(b"", 302, Location="file:///etc/hostname")

    def in_a_circle(self):
        self.send(b"", 302, Location=self.path)

    def endless(self):
        """Never says how much there is."""
        self.send_response(200)
        self.end_headers()
        while not self.released.is_set():
            self.wfile.write(bytes(1 << 16))

    def announces_a_terabyte(self):
        self.send(CONTENT[:CUT], announced=10**12)

    def unannounced(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT)

    def another_range(self):
        if self.begin():
            self.send(CONTENT[10:], 206, Content_Range=f"bytes 10-{len(CONTENT) - 1}/*")
        elif len(self.server.requests) > 1:
            self.whole()
        else:
            self.send(CONTENT[:CUT], announced=len(CONTENT))


@pytest.fixture
def publisher():
    Publisher.released.clear()
    with loopback.serving(Publisher) as server:
        yield server
        Publisher.released.set()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No pause, and no proxy of the machine's."""
    monkeypatch.setattr(module, "PAUSE", 0.0)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "x.pth"


def nothing_is_left(target):
    return not list(target.parent.iterdir())


@pytest.mark.parametrize("sha256", [DIGEST, DIGEST[:8]])
def test_a_good_file_is_kept_under_its_name_alone(sha256, publisher, target, capfd):
    download(f"{publisher.url}/whole/x.pth", target, sha256)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["x.pth"]
    assert publisher.requests[0][2]["User-Agent"].startswith("keras_effnets/")
    assert capfd.readouterr() == ("", "")


def test_without_a_hash_nothing_is_left_of_an_earlier_call(publisher, target):
    module.partial_name(target).write_bytes(CONTENT[::-1][:50])
    download(f"{publisher.url}/whole/x.pth", target, "")
    assert target.read_bytes() == CONTENT


def test_a_file_of_another_hash_is_not_kept_and_both_hashes_are_told(publisher, target):
    with pytest.raises(ValueError, match=f"SHA-256 is {DIGEST}, but 0000abcd"):
        download(f"{publisher.url}/whole/x.pth", target, "0000abcd")
    assert nothing_is_left(target)


def test_a_server_that_does_not_say_how_much_there_is(publisher, target):
    download(f"{publisher.url}/unannounced/x.pth", target, DIGEST)
    assert target.read_bytes() == CONTENT


def ranges(publisher):
    return [headers.get("Range") for _, _, headers in publisher.requests]


def test_a_cut_connection_goes_on_where_it_was_cut(publisher, target):
    download(f"{publisher.url}/cut/x.pth", target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert ranges(publisher) == [None, f"bytes={CUT}-"]


def test_without_ranges_it_begins_again(publisher, target):
    download(f"{publisher.url}/cut_without_ranges/x.pth", target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert ranges(publisher) == [None, f"bytes={CUT}-"]


def test_a_range_that_was_not_asked_for_is_not_taken(publisher, target):
    download(f"{publisher.url}/another_range/x.pth", target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert ranges(publisher) == [None, f"bytes={CUT}-", None]


def test_a_connection_that_is_always_cut_ends_with_an_error(publisher, target):
    with pytest.raises(OSError, match=r"the connection ended after .* of 1,000,000 bytes; gave up"):
        download(f"{publisher.url}/always_cut/x.pth", target, DIGEST)
    assert len(publisher.requests) == module.ATTEMPTS
    assert not target.exists()


def test_the_next_call_goes_on_from_what_has_arrived(publisher, target, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    with pytest.raises(OSError, match="gave up"):
        download(f"{publisher.url}/cut/x.pth", target, DIGEST)
    assert partial_name(target).stat().st_size == CUT
    download(f"{publisher.url}/cut/x.pth", target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert ranges(publisher) == [None, f"bytes={CUT}-"]
    assert [path.name for path in target.parent.iterdir()] == ["x.pth"]


@pytest.mark.parametrize("left", [b"of an older file", CONTENT, CONTENT + b"and more"])
def test_what_an_earlier_call_left_does_no_harm(left, publisher, target):
    partial_name(target).write_bytes(left)
    download(f"{publisher.url}/whole/x.pth", target, DIGEST)
    assert target.read_bytes() == CONTENT


def test_a_stall_ends_with_an_error(publisher, target, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    with pytest.raises(OSError, match=r"no data for 0.2 s; gave up after 4 attempts"):
        download(f"{publisher.url}/stalls/x.pth", target, DIGEST)
    assert not target.exists()


def test_a_server_that_never_answers_ends_with_an_error(publisher, target, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    with pytest.raises(OSError, match=r"for 0.2 s; gave up after 4 attempts"):
        download(f"{publisher.url}/silent/x.pth", target, DIGEST)
    assert len(publisher.requests) == 4


def test_a_busy_server_is_asked_again(publisher, target):
    download(f"{publisher.url}/busy/x.pth", target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert len(publisher.requests) == 3


def test_the_pauses_double(publisher, target, monkeypatch):
    pauses = []
    monkeypatch.setattr(module, "PAUSE", 1.0)
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    with pytest.raises(OSError, match="gave up after 4 attempts"):
        download(f"{publisher.url}/always_cut/x.pth", target, DIGEST)
    assert pauses == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(("path", "status"), [("absent", 404), ("forbidden", 403)])
def test_a_refusal_is_final(path, status, publisher, target):
    with pytest.raises(OSError, match=f"the server answered {status}"):
        download(f"{publisher.url}/{path}/x.pth", target, DIGEST)
    assert len(publisher.requests) == 1
    assert nothing_is_left(target)


def test_nobody_listening_is_final(target, monkeypatch):
    pauses = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused"):
            download(f"http://127.0.0.1:{closed.getsockname()[1]}/x.pth", target, DIGEST)
    assert pauses == []
    assert nothing_is_left(target)


def test_redirects_are_followed(publisher, target):
    download(f"{publisher.url}/moved/x.pth", target, DIGEST)
    assert publisher.asked() == ["/moved/x.pth", "/whole/x.pth"]


@pytest.mark.parametrize("path", ["to_a_file", "in_a_circle"])
def test_redirects_to_nowhere_are_not_followed(path, publisher, target):
    with pytest.raises(OSError, match=r"(?i)redirect"):
        download(f"{publisher.url}/{path}/x.pth", target, DIGEST)
    assert nothing_is_left(target)


def test_no_redirect_leaves_tls():
    secure = urllib.request.Request("https://a.example/x.pth")
    answer = (io.BytesIO(), 302, "Found", {})
    follow = module._Redirects().redirect_request
    with pytest.raises(OSError, match=r"from https://a.example/x.pth to http://b.example/x.pth"):
        follow(secure, *answer, "http://b.example/x.pth")
    assert follow(secure, *answer, "https://b.example/x.pth").full_url == "https://b.example/x.pth"
    plain = urllib.request.Request("http://a.example/x.pth")
    assert follow(plain, *answer, "https://b.example/x.pth").type == "https"


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "x.pth"])
def test_other_schemes_are_refused(url, target):
    with pytest.raises(ValueError, match="neither http nor https"):
        download(url, target, DIGEST)


def test_more_than_the_limit_is_not_taken(publisher, target):
    with pytest.raises(OSError, match=r"announces 1,0{3}.*, more than the limit of 8,000,000,0"):
        download(f"{publisher.url}/announces_a_terabyte/x.pth", target, DIGEST)
    assert nothing_is_left(target)
    with pytest.raises(OSError, match="sends more than 2,000,000 bytes"):
        download(f"{publisher.url}/endless/x.pth", target, DIGEST, limit=2_000_000)
    assert nothing_is_left(target)


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(publisher, target, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 999_999))
    with pytest.raises(OSError, match="1,000,000 bytes remain, but the disk has only 999"):
        download(f"{publisher.url}/whole/x.pth", target, DIGEST)
    assert nothing_is_left(target)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_disk_that_fills_up_leaves_nothing(publisher, target):
    partial_name(target).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        download(f"{publisher.url}/whole/x.pth", target, DIGEST)
    assert nothing_is_left(target)
    assert len(publisher.requests) == 1


class Proxy(loopback.Handler):
    """Is asked for whole addresses, and has their files."""

    content = CONTENT

    def do_GET(self):
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        self.whole()


def test_the_proxies_of_the_environment_are_used(publisher, target, monkeypatch):
    url = "http://weights.example/x.pth"
    with loopback.serving(Proxy) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        download(url, target, DIGEST)
        assert proxy.asked() == [url]
        target.unlink()
        download(f"{publisher.url}/whole/x.pth", target, DIGEST)  # which no_proxy names
        assert len(proxy.requests) == 1
    assert target.read_bytes() == CONTENT


def test_a_terminal_sees_a_bar_on_standard_error(publisher, target, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen)
    download(f"{publisher.url}/whole/x.pth", target, DIGEST)
    assert "x.pth" in screen.getvalue()
    assert "1.0/1.0 MB" in screen.getvalue()
    assert capsys.readouterr().out == ""
