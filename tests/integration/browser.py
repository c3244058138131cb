"""A real Chromium without a screen, for pages under test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.conftest import optional_tool


class Browser:
    """One tab. `run` evaluates JavaScript in it."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    def open(
        self, url: str, *, width: int = 1280, height: int = 800, scheme: str = "light"
    ) -> None:
        """Load a page at this size of the window and preferred colour scheme."""
        self._driver.get("about:blank")
        self.drain_log()
        self._driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        self.prefer(scheme)
        self._driver.get(url)

    def prefer(self, scheme: str) -> None:
        """Light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def run(self, expression: str) -> Any:
        return self._driver.execute_script(f"return {expression.strip()}")

    def texts(self, selector: str) -> list[str]:
        """Of all elements that match, as they are on the page."""
        texts: list[str] = self.run(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(node => node.innerText)"
        )
        return texts

    def errors(self) -> list[str]:
        """What was written to the console as an error or a warning since the page was opened."""
        return [f"{line['level']}: {line['message']}" for line in self._driver.get_log("browser")]

    def hosts_asked(self) -> set[str]:
        """Of all requests since the page was opened."""
        messages = (
            json.loads(line["message"])["message"] for line in self._driver.get_log("performance")
        )
        return {
            urlsplit(message["params"]["request"]["url"]).netloc
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }

    def drain_log(self) -> None:
        """Forget what was logged."""
        self._driver.get_log("browser")
        self._driver.get_log("performance")

    def screenshot(self, path: str) -> None:
        self._driver.save_screenshot(path)


@contextmanager
def chromium(tool: Callable[[str, str | None], str] = optional_tool) -> Iterator[Browser]:
    """Debian's Chromium and its driver; nothing is downloaded."""
    options = ChromeOptions()
    options.binary_location = tool("chromium", shutil.which("chromium"))
    service = Service(tool("chromedriver (chromium-driver)", shutil.which("chromedriver")))
    # --no-sandbox: the tests may run as root. /dev/shm is small in containers.
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
