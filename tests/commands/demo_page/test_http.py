"""The responses of the demo page's server."""

import base64
import http.client
import io
import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import numpy as np
import photographs
import pytest
from PIL import Image

import keras_effnets
from keras_effnets.commands.demo_page.app import MAX_BYTES

LITE0 = {"model": "efficientnet_lite0"}
TABBIES = {"tabby", "tiger cat", "Egyptian cat"}


def ask(url, path, body=None, **values):
    """Returns the status and the JSON answer."""
    address = f"{url}{path}?{urllib.parse.urlencode(values)}"
    try:
        with urllib.request.urlopen(address, body, timeout=120) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def picture_of(data_url):
    kind, _, data = data_url.partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return np.asarray(picture, np.float32)


@pytest.fixture
def cat():
    return photographs.paths()[0].read_bytes()


def test_it_listens_on_this_machine_alone(page):
    assert page.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")],
)
def test_the_page_needs_nothing_from_elsewhere(path, kind, page):
    with urllib.request.urlopen(page + path, timeout=60) as response:
        assert response.headers.get_content_type() == kind
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert b"//" not in response.read().replace(b"// ", b"")


def test_it_lists_the_networks(page):
    status, answer = ask(page, "/api/models")
    assert status == 200
    assert answer["max_bytes"] == MAX_BYTES
    assert answer["models"] == [
        {"name": "efficientnet_lite0", "side": 224, "classes": 1000, "engine": "keras"},
        {"name": "small", "side": 64, "classes": 4, "engine": "keras"},
    ]


def test_a_cat_is_named(page, cat, models):
    status, answer = ask(page, "/api/predict", cat, **LITE0)
    assert status == 200
    names = [each["name"] for each in answer["predictions"]]
    scores = [each["score"] for each in answer["predictions"]]
    assert set(names[:3]) == TABBIES
    assert len(names) == 5
    assert scores == sorted(scores, reverse=True)
    model = keras_effnets.EfficientNetLite0()
    preset = models["efficientnet_lite0"].preset
    pixels = keras_effnets.load_image(cat, preset)
    expected = np.asarray(model(pixels[None], training=False))[0]
    indices = [each["index"] for each in answer["predictions"]]
    np.testing.assert_allclose(scores, expected[indices], atol=1e-5)
    np.testing.assert_array_equal(picture_of(answer["picture"]), pixels)
    assert answer["milliseconds"] > 0


def test_heat_is_where_grad_cam_says(page, cat, models):
    status, answer = ask(page, "/api/heat", cat, **LITE0, class_index=282)
    assert status == 200
    model = keras_effnets.EfficientNetLite0()
    pixels = keras_effnets.load_image(cat, models["efficientnet_lite0"].preset)
    expected = keras_effnets.overlay(pixels, keras_effnets.grad_cam(model, pixels, 282))
    np.testing.assert_allclose(picture_of(answer["picture"]), np.asarray(expected), atol=1)


def test_logits_and_few_classes_become_shares(page, cat):
    status, answer = ask(page, "/api/predict", cat, model="small")
    assert status == 200
    assert {each["index"] for each in answer["predictions"]} == {0, 1, 2, 3}
    assert sum(each["score"] for each in answer["predictions"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("body", "values", "status", "message"),
    [
        (b"no picture", LITE0, 400, "can't be read as an image: not one of JPEG"),
        (b"", LITE0, 400, "can't be read as an image: the file is empty"),
        (b"x", {"model": "unheard"}, 404, "model='unheard': expected one of efficientnet_lite0"),
        (b"x", {}, 400, "model: Field required"),
        (b"x" * (MAX_BYTES + 1), LITE0, 413, "the file exceeds 20 MiB"),
    ],
)
@pytest.mark.parametrize("path", ["/api/predict", "/api/heat"])
def test_what_is_wrong_is_said(path, body, values, status, message, page):
    if path == "/api/heat":
        values = {"class_index": 1, **values}
    found, answer = ask(page, path, body, **values)
    assert found == status
    assert answer["error"].startswith(message)
    assert "bytes>" not in answer["error"]


def test_a_truncated_picture_gives_a_message(page, cat):
    status, answer = ask(page, "/api/predict", cat[: len(cat) // 2], **LITE0)
    assert status == 400
    assert "can't be read as an image" in answer["error"]


@pytest.mark.parametrize("class_index", [1000, -1, "cat"])
def test_a_class_that_is_not_there_is_named(class_index, page, cat):
    status, answer = ask(page, "/api/heat", cat, **LITE0, class_index=class_index)
    assert status == 400
    assert answer["error"].startswith(("class_=", "class_index: "))


def test_an_unknown_path_is_not_found(page):
    assert ask(page, "/etc/passwd")[0] == 404


def test_another_sites_name_is_not_answered(page):
    connection = http.client.HTTPConnection(page.removeprefix("http://"), timeout=60)
    connection.request("GET", "/api/models", headers={"Host": "elsewhere.example"})
    assert connection.getresponse().status == 400
    connection.close()


def test_an_upload_that_breaks_off_leaves_the_server_well(page, cat):
    host, _, port = page.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = (
            f"POST /api/predict?model=small HTTP/1.1\r\nHost: {host}\r\nContent-Length: 999\r\n\r\n"
        )
        connection.sendall(head.encode() + b"half")
    assert ask(page, "/api/predict", cat, model="small")[0] == 200


def test_more_connections_than_it_takes_are_refused_and_it_recovers(page):
    host, _, port = page.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(page, timeout=60)
    for _ in range(600):  # until the server has noticed that they are closed
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(page, timeout=60) as response:
            assert response.status == 200
            return
        time.sleep(0.1)
    pytest.fail("still refused")


def test_requests_at_the_same_time_get_their_own_answers(page):
    """Two networks, three images and a broken one: concurrent answers equal sequential ones."""
    pictures = [path.read_bytes() for path in photographs.paths()[:3]]
    wanted = [
        (path, body, {"model": model, **more})
        for body in [*pictures, b"broken"]
        for model in ("efficientnet_lite0", "small")
        for path, more in (("/api/predict", {}), ("/api/heat", {"class_index": 3}))
    ]

    def answer(asked):
        path, body, values = asked
        status, found = ask(page, path, body, **values)
        found.pop("milliseconds", None)
        return status, found

    alone = list(map(answer, wanted))
    assert [status for status, _ in alone] == [200] * 12 + [400] * 4
    assert len({json.dumps(found["picture"]) for status, found in alone if status == 200}) >= 6
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(answer, wanted * 2))
    for (status, found), (expected, same) in zip(together, alone * 2, strict=True):
        assert status == expected
        if status == 200 and "predictions" in same:
            scores = [each.pop("score") for each in found["predictions"]]
            known = [each.get("score") for each in same["predictions"]]
            np.testing.assert_allclose(scores, known, atol=1e-6)
            found["predictions"] = [
                {**each, "score": score}
                for each, score in zip(found["predictions"], known, strict=True)
            ]
        assert found == same
