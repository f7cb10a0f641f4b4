"""What every request must pass before anything looks at it, and the headers of every answer.

A page of another site may send requests to this machine. It cannot read answers, nor set the header with
which a page of this server shows that it read one; and a name that it points at this machine is not among the
names that this server answers to.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSP = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)
"""Nothing from another host, no script or style but this server's own files, no frame around the page."""

_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

_SAFE = {"GET", "HEAD"}

MAX_BODY_BYTES = 8_000_000
"""Bytes of a request: changes of 50,000 cells have room in it."""


@dataclass(frozen=True)
class Rules:
    """Which requests are let in.

    Attributes:
        names: names of this server besides addresses and ``localhost``, such as ``bench-3.lab``.
        is_local: whether only this machine may ask, by its own addresses.
        most_bytes: of the bodies of requests by method and path, where that is not :data:`MAX_BODY_BYTES`.
    """

    names: Collection[str] = ()
    is_local: bool = True
    most_bytes: Mapping[tuple[str, str], int] = field(default_factory=dict)


class Guard:
    """Refuses requests of other sites, too large ones and WebSockets, and sets the headers of answers.

    Args:
        app: what is guarded.
        rules: which requests are let in.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, see the ASGI specification."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008, "reason": "there are no WebSockets here"})
            return
        sent = _with_headers(send, is_private=scope["path"].startswith("/api/"))
        headers = Headers(scope=scope)
        problem = self._judge(scope["method"], headers)
        if problem is not None:
            status, text = problem
            await JSONResponse({"detail": text}, status)(scope, receive, sent)
            return
        most = self._rules.most_bytes.get((scope["method"], scope["path"]), MAX_BODY_BYTES)
        if _read_length(headers) > most:
            await _refuse_size(most)(scope, receive, sent)
            return
        body = _LimitedBody(receive, most)

        async def answer(message: Message) -> None:
            if not body.is_over:
                await sent(message)
            elif message["type"] == "http.response.start":
                # Whatever the routes made of the break, this is what it was.
                await _refuse_size(most)(scope, receive, sent)

        try:
            await self._app(scope, body.receive, answer)
        except _TooLargeError:
            await _refuse_size(most)(scope, receive, sent)

    def _judge(self, method: str, headers: Headers) -> tuple[int, str] | None:
        """Return status and reason where a request is of another site; None where it may pass."""
        host = headers.get("host", "")
        if not is_own_name(host, self._rules):
            return 421, "this server does not answer to that name"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "requests of other sites are not taken"
        if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"} and method not in _SAFE:
            return 403, "requests of other sites are not taken"
        return None


def is_own_name(host: str, rules: Rules) -> bool:
    """Return whether a ``Host`` header is of this server.

    A name that another site points at this machine (DNS rebinding) is no address, so addresses are taken as
    they are, and names only where they are known.

    Args:
        host: the header, with or without a port.
        rules: which names are known.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name in rules.names:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not rules.is_local


class _TooLargeError(Exception):
    """More bytes came than are taken."""


class _LimitedBody:
    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._left = receive, limit

    @property
    def is_over(self) -> bool:
        return self._left < 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self.is_over:
                raise _TooLargeError
        return message


def _read_length(headers: Headers) -> int:
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0


def _refuse_size(most: int) -> JSONResponse:
    return JSONResponse({"detail": f"more than {most} bytes are not taken"}, 413)


def _with_headers(send: Send, *, is_private: bool) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            if is_private and "cache-control" not in headers:
                headers["cache-control"] = "no-store"
        await send(message)

    return sent
