"""Draws docs/demo_page.png: the page in a real browser, after an image was dropped on it."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests"))

import headless_browser  # noqa: E402
import photographs  # noqa: E402


def main() -> None:
    if absent := headless_browser.missing():
        sys.exit(f"not on the PATH: {absent}")
    command = Path(sys.executable).with_name("keras-effnets")
    names = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
    server = subprocess.Popen(
        [command, "serve-demo", *names, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        url = server.stdout.readline().strip()
        with headless_browser.started(1000, 730) as browser:
            browser.open(url)
            browser.wait("document.querySelectorAll('#model option').length == 3")
            browser.type("#file", str(photographs.paths()[0]))
            browser.wait("document.querySelector('#heat').naturalWidth")
            # The second run has no warm-up in its time.
            browser.click("#classes li:first-child button")
            browser.run("document.activeElement.blur()")
            browser.wait("document.querySelector('#result').className == ''")
            browser.screenshot(ROOT / "docs" / "demo_page.png")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


if __name__ == "__main__":
    main()
