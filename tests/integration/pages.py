"""The live view as a browser sees it, without a browser."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import pytest


class Answer:
    """Status, headers and body of one request."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()


def get(
    port: int, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
) -> Answer:
    """One request to 127.0.0.1; no redirect is followed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        return Answer(connection.getresponse())
    finally:
        connection.close()


def get_frame(port: int, frame_id: str) -> Answer:
    return get(port, f"/frame?id={quote(frame_id, safe='')}")


class Page:
    """An open stream of states; a context manager."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._connection.request("GET", "/events", headers=dict(headers or {}))
        self.response = self._connection.getresponse()
        self.count = 0

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.response.close()
        self._connection.close()

    def next(self) -> dict[str, Any] | None:
        """The next state; None at the end of the stream."""
        while line := self.response.readline():
            if line.startswith(b"data: "):
                self.count += 1
                state: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                return state
        return None

    def until(self, wanted: Any, timeout_s: float = 20.0) -> dict[str, Any]:
        """The first state for which `wanted` is true."""
        deadline_s = time.monotonic() + timeout_s
        state: dict[str, Any] | None = {}
        while time.monotonic() < deadline_s:
            state = self.next()
            if state is None:
                pytest.fail("the stream has ended")
            if wanted(state):
                return state
        pytest.fail(f"not within {timeout_s:g} s; the last state was {state}")
