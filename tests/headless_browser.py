"""A real browser without a window, by the WebDriver protocol: https://www.w3.org/TR/webdriver2/."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""What the protocol calls a reference to an element."""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def missing() -> str:
    """What of a browser and its driver is not on the PATH; empty where both are."""
    lacks = [] if any(map(shutil.which, _NAMES)) else ["chromium or chrome"]
    return " and ".join(lacks + ([] if shutil.which("chromedriver") else ["chromedriver"]))


class Browser:
    """A page in the browser."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, url: str) -> None:
        self._post("url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script's `return` gives."""
        return self._post("execute/sync", script=script, args=list(arguments))

    def type(self, selector: str, text: str) -> None:
        """Types into an element; into an `input` for files, a path."""
        self._post(f"element/{self._find(selector)}/value", text=text)

    def click(self, selector: str) -> None:
        self._post(f"element/{self._find(selector)}/click")

    def wait(self, condition: str, seconds: float = 60) -> Any:
        """What an expression gives as soon as that is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(f"return {condition}")):
            shown = self.run("return document.body.innerText")
            assert time.monotonic() < end, f"never came true: {condition}; the page: {shown}"
            time.sleep(0.05)
        return value

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(_request("GET", f"{self._session}/screenshot")))

    def errors(self) -> list[str]:
        """What the console has complained of."""
        log = self._post("se/log", type="browser")
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def _find(self, selector: str) -> str:
        return self._post("element", using="css selector", value=selector)[_ELEMENT]

    def _post(self, path: str, **values: Any) -> Any:
        return _request("POST", f"{self._session}/{path}", values)


@contextmanager
def started(width: int = 1000, height: int = 680) -> Iterator[Browser]:
    """A browser of its own, with an empty profile."""
    binary = next(found for found in map(shutil.which, _NAMES) if found)
    options = {
        "binary": binary,
        "args": [
            # A container's administrator has no sandbox, and little shared memory.
            *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
            f"--window-size={width},{height}",
        ],
    }
    with tempfile.TemporaryFile("w+") as log:
        driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=log, stderr=subprocess.STDOUT, text=True
        )
        try:
            url = f"http://127.0.0.1:{_port(driver, log)}"
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            capabilities = {"capabilities": {"alwaysMatch": wanted}}
            session = _request("POST", f"{url}/session", capabilities)["sessionId"]
            try:
                yield Browser(f"{url}/session/{session}")
            finally:
                with suppress(OSError):
                    _request("DELETE", f"{url}/session/{session}")
        finally:
            driver.terminate()
            driver.wait(30)


def _port(driver: subprocess.Popen[str], log: Any) -> int:
    """The port that the driver says it listens at."""
    end = time.monotonic() + 60
    while True:
        log.seek(0)
        said = log.read()
        if match := re.search(r"started successfully on port (\d+)", said):
            return int(match[1])
        assert driver.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.05)


def _request(method: str, url: str, values: Any = None) -> Any:
    body = None if method != "POST" else json.dumps(values or {}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {url}: {json.load(error)['value']['message']}") from None
