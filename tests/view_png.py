"""Takes the picture of `emotion-view` that is in the README.

    python -m tests.view_png deploy/demo/view.png [--scheme light]      (needs chromium)

A whole system plays the demo clip: server, producer, worker, page, and a Chromium without a screen.
The picture is taken in the second round of the clip, at a moment when two people are seen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from consumer.view.live import LiveView
from tests.integration.browser import Browser, chromium
from tests.integration.processes import RoleProcess
from tests.integration.servers import TroubledServer

CLIP = Path(__file__).parents[1] / "deploy" / "demo" / "people.mp4"
SIZE = (1280, 800)
TRAILS_S = 17.0  # of the clip's 20 s, before which nobody has been there for long
TIMEOUT_S = 120.0
# Everybody who is listed is seen, and has been for long enough to have moved.
_READY = """
document.querySelectorAll('.person:not(.unseen-now)').length >= 2
  && !document.querySelector('.unseen-now')
  && document.querySelectorAll('.box').length >= 2
  && [...document.querySelectorAll('.plane g g')].filter(
       trail => trail.querySelectorAll('polyline[points*=" "]').length > 1).length >= 2
"""


def take(browser: Browser, url: str, scheme: str, path: Path) -> None:
    """Open the page, wait for a good moment, and write the picture."""
    browser.open(url, width=SIZE[0], height=SIZE[1], scheme=scheme)
    begin_s = time.monotonic()
    while time.monotonic() < begin_s + TRAILS_S or not browser.run(_READY):
        if time.monotonic() > begin_s + TIMEOUT_S:
            raise SystemExit(f"no two people within {TIMEOUT_S:g} s")
        time.sleep(0.05)
    browser.screenshot(str(path))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("png", type=Path)
    parser.add_argument("--scheme", choices=("light", "dark"), default="dark")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="emotion-view-") as folder:
        taken = Path(folder) / "taken.png"
        with TroubledServer("valkey", Path(folder), "--appendonly", "no") as server:
            service = ("--redis", server.url)
            clip = (str(CLIP), "--loop", "--source-id", "lobby")
            with RoleProcess("worker", *service) as worker:
                worker.log("ready", 120)
                with (
                    LiveView(server.url, port=0) as view,
                    RoleProcess("producer", *clip, *service),
                    chromium() as browser,
                ):
                    take(browser, view.url, options.scheme, taken)
        picture = Image.open(taken).convert("RGB")
        picture.save(options.png, optimize=True)
    print(f"{options.png}: {options.png.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
