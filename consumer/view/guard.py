"""Who may see the page: whoever has the token, or on this machine alone, this machine's browser."""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Nothing but what we serve ourselves, no inline code, in nobody's frame.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_QUERY = "token"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware around the whole application.

    token       demanded if not None: once as ``?token=``, from then on as a cookie that no script
                can read
    local       we listen on this machine alone: then the name we are called by must be one of this
                machine's, or any web site could point a name of its own at us and read the page
                (DNS rebinding)
    cookie      its name; browsers keep one set of cookies for all ports of a host
    """

    def __init__(self, app: ASGIApp, *, token: str | None, local: bool, cookie: str) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._local = local
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        app = self._answer(scope) or self._app
        await app(scope, receive, send_guarded)

    def _answer(self, scope: Scope) -> ASGIApp | None:
        """What to say instead of the page; None to let the request through."""
        headers = Headers(scope=scope)
        if self._local and not _names_this_machine(headers.get("host", "")):
            return _refusal(421, "this page answers to localhost and 127.0.0.1 only")
        # Older browsers do not send these; the token and the same-origin headers stand without.
        site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
        if site not in (None, "same-origin", "none") and mode != "navigate":
            return _refusal(403, "another site's page asked for this")
        if self._token is None:
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if _QUERY in query:
            if not self._is_token(query[_QUERY][-1]):
                return _refusal(401, "this is not the token that emotion-view printed")
            # Away from the address line, where it would be seen, kept and passed on.
            response = RedirectResponse(scope["path"], 303)
            response.set_cookie(
                self._cookie, query[_QUERY][-1], httponly=True, samesite="lax", path="/"
            )
            return response
        if not self._is_token(_cookie(headers.get("cookie", ""), self._cookie)):
            return _refusal(401, "open the address with ?token=... that emotion-view printed")
        return None

    def _is_token(self, given: str) -> bool:
        assert self._token is not None
        return secrets.compare_digest(given.encode(), self._token)


def _refusal(status: int, text: str) -> ASGIApp:
    return PlainTextResponse(f"emotion-view: {text}\n", status)


def _names_this_machine(host: str) -> bool:
    """Whether a Host header names the loopback interface, whatever the port."""
    name, _, port = host.rpartition(":")
    if not port.isdigit():  # none was given, or it is the last part of an IPv6 address
        name = host
    return is_loopback(name)


def _cookie(header: str, name: str) -> str:
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value
