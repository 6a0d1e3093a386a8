"""The demo page in a real browser, as a visitor uses it."""

import headless_browser
import photographs
import pytest

absent = headless_browser.missing()
pytestmark = pytest.mark.skipif(bool(absent), reason=f"not on the PATH: {absent}")

FIRST = "document.querySelector('#classes .line span')?.textContent"
HEAT = "document.querySelector('#heat').naturalWidth"
STATUS = "document.querySelector('#status').textContent"
RESULT = "!document.querySelector('#result').hidden"


@pytest.fixture(scope="module")
def chrome():
    with headless_browser.started() as started:
        yield started


@pytest.fixture
def opened(chrome, page):
    chrome.open(page)
    chrome.wait("document.querySelectorAll('#model option').length == 2")
    return chrome


def test_a_picture_is_uploaded_and_its_class_appears(opened):
    cat, coffee = photographs.paths()[:2]
    opened.type("#file", str(cat))
    assert opened.wait(FIRST) == "tiger cat"
    assert opened.wait(HEAT) == 224
    assert opened.run("return document.querySelector('#picture').naturalWidth") == 224
    assert "tiger cat" in opened.run("return document.querySelector('#heat-caption').textContent")
    assert opened.run(f"return {STATUS}") == "chelsea.png"
    assert opened.run("return document.querySelector('#time').textContent").endswith(
        "ms for the network, by keras"
    )
    bars = opened.run("return [...document.querySelectorAll('meter')].map(bar => bar.value)")
    shares = opened.run(
        "return [...document.querySelectorAll('.line span:last-child')].map(x => x.textContent)"
    )
    assert len(bars) == 5
    assert bars == sorted(bars, reverse=True)
    assert [f"{100 * bar:.1f} %" for bar in bars] == shares

    opened.type("#file", str(coffee))
    opened.wait(f"{FIRST} == 'espresso'")
    assert opened.errors() == []


def test_another_class_shows_another_heat(opened):
    opened.type("#file", str(photographs.paths()[0]))
    opened.wait(HEAT)
    before = opened.run("return document.querySelector('#heat').src")
    opened.click("#classes li:nth-child(5) button")
    opened.wait("document.querySelector('#heat-caption').textContent.includes('window screen')")
    assert opened.run("return document.querySelector('#heat').src") != before
    assert opened.run(
        "return [...document.querySelectorAll('#classes button')]"
        ".map(button => button.getAttribute('aria-pressed'))"
    ) == [*["false"] * 4, "true"]


def test_another_network_answers_for_the_same_picture(opened):
    opened.type("#file", str(photographs.paths()[0]))
    opened.wait(f"{FIRST} == 'tiger cat'")
    opened.type("#model", "small")
    opened.wait("document.querySelectorAll('#classes li').length == 4")
    assert opened.wait(HEAT) == 64


def test_a_dropped_picture_is_taken(opened):
    """A drop as the browser reports it, with a file that the page's own script makes."""
    opened.run("""
        const canvas = Object.assign(document.createElement("canvas"), { width: 80, height: 60 });
        canvas.getContext("2d").fillRect(10, 10, 30, 30);
        canvas.toBlob((blob) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([blob], "drawn.png"));
            const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
            document.querySelector("#drop").dispatchEvent(drop);
        });
    """)
    opened.wait(RESULT)
    assert opened.run(f"return {STATUS}") == "drawn.png"


def test_a_broken_file_gives_a_message_and_the_next_one_works(opened, tmp_path):
    broken = tmp_path / "<b>broken.png"
    broken.write_bytes(photographs.paths()[0].read_bytes()[:5000])
    opened.type("#file", str(broken))
    opened.wait("document.querySelector('#status.wrong')")
    assert opened.run(f"return {STATUS}").startswith("<b>broken.png: can't be read as an image: ")
    assert not opened.run(f"return {RESULT}")
    opened.type("#file", str(photographs.paths()[0]))
    opened.wait(f"{FIRST} == 'tiger cat'")
    assert not opened.run("return document.querySelector('#status.wrong')")


def test_a_file_that_is_too_large_gives_a_message(opened, tmp_path):
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(20 * 2**20 + 1)
    opened.type("#file", str(large))
    opened.wait("document.querySelector('#status.wrong')")
    assert opened.run(f"return {STATUS}") == "large.png: the file exceeds 20 MiB"
