"""What every request passes before anything looks at it: host, origin, key, rate, size and time."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from haechi.config.serve import ServeConfig
from haechi.serve.keys import Keys

COOKIE = "haechi_session"
CLIENTS_MAX = 4096
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_NOT_KEPT = (b"cache-control", b"no-store")  # what says nothing of it itself
_STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
_OPEN = {("GET", "/health"), ("HEAD", "/health"), ("POST", "/session")}
_OPEN_PAGES, _OPEN_FOLDERS = {"/", "/docs"}, ("/page/", "/docs/")  # files that hold no secrets
_SAFE = {"GET", "HEAD", "OPTIONS"}

Refused = tuple[int, str]


class Buckets:
    """So many requests a second of each client, and twice as many at once. A bounded number of clients."""

    def __init__(self, rate: float, clock: Callable[[], float], burst: float | None = None) -> None:
        self._rate = rate
        self._burst = max(1.0, 2 * rate if burst is None else burst)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, cost: float = 1.0) -> bool:
        now = self._clock()
        left, since = self._left.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        taken = left >= cost
        self._left[client] = (left - cost if taken else left, now)
        while len(self._left) > CLIENTS_MAX:
            self._left.popitem(last=False)
        return taken


class Guard:
    """ASGI middleware. Refusals are JSON with a sentence, {"detail": ...}."""

    def __init__(self, app: ASGIApp, config: ServeConfig, keys: Keys, clock: Callable[[], float]) -> None:
        self._app = app
        self._config = config
        self._keys = keys
        self._requests = Buckets(config.requests_per_second, clock)
        self._logins = Buckets(0.2, clock, burst=10)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        refused = self._refused(scope, headers)
        if scope["type"] == "websocket":
            if refused is None:
                await self._app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refused[1][:100]})
            return
        answer = self._answering(scope, send)
        if refused is None:
            await self._pass(scope, headers, receive, answer)
        else:
            await _refuse(answer, refused)

    async def _pass(self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: _Answer) -> None:
        """The body is taken whole before the application begins: it is small, and a client that trickles
        it holds nothing but its connection."""
        try:
            async with asyncio.timeout(self._config.request_timeout):
                body = await self._body(headers, receive)
                if body is None:
                    refused = (413, f"the body is longer than {self._config.body_bytes} bytes (body_bytes)")
                    await _refuse(send, refused)
                    return
                await self._app(scope, _replay(body, receive), send)
        except TimeoutError:
            seconds = self._config.request_timeout
            if not send.begun:
                await _refuse(send, (408, f"the request took longer than {seconds:g} s (request_timeout)"))

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes | None:
        said = headers.get("content-length", "0")
        if not said.isdecimal() or int(said) > self._config.body_bytes:
            return None
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return body
            body += bytes(message.get("body", b""))
            if len(body) > self._config.body_bytes:
                return None
            if not message.get("more_body"):
                return body

    def _refused(self, scope: Scope, headers: Mapping[str, str]) -> Refused | None:
        client = (scope.get("client") or ("unknown", 0))[0]
        if not self._requests.take(client, _cost(scope)):
            return 429, f"more than {self._config.requests_per_second:g} requests a second from {client}"
        if not self._knows_host(scope, headers.get("host", "")):
            return 421, "the Host header is none of this server's names (hosts)"
        method = scope.get("method", "WEBSOCKET")
        if method not in _SAFE and (refused := self._origin_refused(scope, headers)):
            return refused
        if (method, scope["path"]) == ("POST", "/session") and not self._logins.take(client):
            return 429, f"too many tokens were tried from {client}; wait some seconds"
        if not self._keys.demanded or _is_open(method, scope["path"]) or self._has_key(headers):
            return None
        if method == "OPTIONS" and headers.get("origin") in self._config.origins:
            return None  # a browser asks first whether it may show the token
        return 401, "a token is needed: Authorization: Bearer TOKEN, or POST /session from a browser"

    def _knows_host(self, scope: Scope, host: str) -> bool:
        """A page of somebody else's whose name was made to point here sends its own name (DNS rebinding)."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if not name:
            return False
        address = (scope.get("server") or ("", 0))[0]
        own = {"localhost", "127.0.0.1", "::1", self._config.address.lower(), str(address).lower()}
        return name in own or name in {known.lower() for known in self._config.hosts}

    def _origin_refused(self, scope: Scope, headers: Mapping[str, str]) -> Refused | None:
        """A browser says where a page is from; other programs say nothing; they show a key."""
        origin = headers.get("origin")
        secure = scope.get("scheme") in ("https", "wss")
        if origin is None:
            if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
                return None
        elif origin in (
            f"{'https' if secure else 'http'}://{headers.get('host', '')}",
            *self._config.origins,
        ):
            return None
        return 403, "the request comes from a page of another origin (origins)"

    def _has_key(self, headers: Mapping[str, str]) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._keys.opens(token.strip()):
            return True
        return (secret := session_of(headers.get("cookie", ""))) != "" and self._keys.has_session(secret)

    def _answering(self, scope: Scope, send: Send) -> _Answer:
        secure = scope.get("scheme") == "https"
        return _Answer(send, [*_HEADERS, *([_STRICT_TRANSPORT] if secure else [])])


class _Answer:
    """Sends on, with the headers that every answer has."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            own = list(message.get("headers", []))
            said = {name.lower() for name, _ in own}  # a report brings a stricter policy of its own
            added = [header for header in (_NOT_KEPT, *self._headers) if header[0] not in said]
            message = {**message, "headers": [*own, *added]}
        await self._send(message)


def _cost(scope: Scope) -> float:
    """A page is some forty files, most of which a browser keeps: loading it is no flood."""
    return 0.125 if scope["path"].startswith("/page/") else 1.0


def _is_open(method: str, path: str) -> bool:
    if (method, path) in _OPEN:
        return True
    return method in ("GET", "HEAD") and (path in _OPEN_PAGES or path.startswith(_OPEN_FOLDERS))


def session_of(cookies: str) -> str:
    """The session's secret in a Cookie header; empty where there is none."""
    try:
        morsel = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(send: _Answer, refused: Refused) -> None:
    status, sentence = refused
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 429:
        headers.append((b"retry-after", b"1"))
    if status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
