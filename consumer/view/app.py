"""The web application: one page, its state as server-sent events, its pictures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from consumer.view.hub import Hub

TICK_S = 0.1  # between two updates; more often is unrest, not information
_SIGN_OF_LIFE_S = 2.0  # if nothing changes: a page must know a dead server from a quiet system
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def make_app(hub: Hub) -> Starlette:
    """Everything below `static/`, which is read now, ``/events`` and ``/frame?id=``."""
    routes = [
        Route("/events", partial(_events, hub=hub)),
        Route("/frame", partial(_frame, hub=hub)),
    ]
    for entry in files("consumer.view").joinpath("static").iterdir():
        suffix = f".{entry.name.rpartition('.')[2]}"
        if suffix in _TYPES:
            path = "/" if entry.name == "index.html" else f"/{entry.name}"
            routes.append(_static(path, entry.read_bytes(), _TYPES[suffix]))
    return Starlette(routes=routes)


def _static(path: str, content: bytes, media_type: str) -> Route:
    async def send(_request: Request) -> Response:
        return Response(content, media_type=media_type)

    return Route(path, send)


async def _events(request: Request, hub: Hub) -> Response:
    if hub.is_full:
        return PlainTextResponse("emotion-view: too many pages are open\n", 503)

    async def updates() -> AsyncIterator[bytes]:
        seen, silent_s = -1, 0.0
        with hub.page():
            while not hub.closing.is_set() and not await request.is_disconnected():
                message = hub.message(seen, renew=silent_s >= _SIGN_OF_LIFE_S)
                silent_s += TICK_S
                if message is not None:
                    seen, state = message
                    yield b"data: " + state + b"\n\n"  # waits while the browser does not read
                    silent_s = 0.0
                await asyncio.sleep(TICK_S)

    return StreamingResponse(updates(), media_type="text/event-stream")


async def _frame(request: Request, hub: Hub) -> Response:
    jpeg = hub.jpeg(request.query_params.get("id", ""))
    if jpeg is None:  # or no longer; a 404 would be an error in the browser's console
        return Response(status_code=204)
    return Response(jpeg, media_type="image/jpeg")
