"""Every refusal, before anything looks at the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from haechi.config.serve import ServeConfig
from haechi.serve.guard import CLIENTS_MAX, COOKIE, Buckets, Guard, session_of
from haechi.serve.keys import Keys

TOKEN = "t" * 43
BEARER = {"authorization": f"Bearer {TOKEN}"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body; /slow does not answer at all."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return
    if scope["path"] == "/slow":
        await asyncio.Event().wait()
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


def guarded(token: str | None = None, clock: Clock | None = None, **settings: Any) -> tuple[Guard, Keys]:
    clock = clock or Clock()
    keys = Keys(token, clock)
    return Guard(echo, ServeConfig(**settings), keys, clock), keys


def ask(
    guard: Guard, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    base = more.pop("base", "http://127.0.0.1:8080")

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, headers=headers, **more)

    return asyncio.run(asked())


def connect(guard: Guard, headers: dict[str, str]) -> str:
    """What a WebSocket's client hears first."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/metrics",
        "scheme": "ws",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
        "headers": [(k.encode(), v.encode()) for k, v in ({"host": "127.0.0.1:8080"} | headers).items()],
    }
    asyncio.run(guard(scope, receive, send))
    return str(sent[0]["type"])


def test_every_answer_has_the_headers() -> None:
    guard, _ = guarded(token=TOKEN)
    for answer in (ask(guard, "GET", "/x"), ask(guard, "GET", "/x", BEARER)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
    secure = ask(guard, "GET", "/x", BEARER, base="https://127.0.0.1:8080")
    assert secure.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8080", 200),
        ("console.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_hosts(host: str, status: int) -> None:
    guard, _ = guarded(hosts=("console.example",))
    assert ask(guard, "GET", "/x", {"host": host}).status_code == status


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {}, 200),
        ("POST", {"origin": "http://127.0.0.1:8080"}, 200),
        ("POST", {"origin": "https://console.example"}, 200),
        ("POST", {"sec-fetch-site": "same-origin"}, 200),
        ("GET", {"origin": "http://evil.example"}, 200),  # changes nothing, and no page may read it
        ("POST", {"origin": "http://evil.example"}, 403),
        ("POST", {"origin": "https://127.0.0.1:8080"}, 403),
        ("POST", {"origin": "http://127.0.0.1:9999"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("DELETE", {"sec-fetch-site": "cross-site"}, 403),
        ("PUT", {"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_origins(method: str, headers: dict[str, str], status: int) -> None:
    guard, _ = guarded(origins=("https://console.example",))
    assert ask(guard, method, "/x", headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (BEARER, 200),
        ({"authorization": f"bearer {TOKEN}"}, 200),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": TOKEN}, 401),
        ({"cookie": f"{COOKIE}=made-up"}, 401),
        ({"cookie": f"{COOKIE}="}, 401),
        ({"cookie": "\x7f;;="}, 401),
    ],
)
def test_tokens(headers: dict[str, str], status: int) -> None:
    guard, _ = guarded(token=TOKEN)
    answer = ask(guard, "GET", "/status", headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "detail" in answer.json()


def test_what_needs_no_token() -> None:
    guard, _ = guarded(token=TOKEN)
    assert ask(guard, "GET", "/health").status_code == 200
    assert ask(guard, "POST", "/session").status_code == 200
    for method, path in (("GET", "/session"), ("POST", "/health"), ("GET", "/metrics"), ("GET", "/health/")):
        assert ask(guard, method, path).status_code == 401


def test_a_session_opens_and_ends() -> None:
    guard, keys = guarded(token=TOKEN)
    cookie = {"cookie": f"a=b; {COOKIE}={keys.begin_session()}"}
    assert ask(guard, "GET", "/status", cookie).status_code == 200
    keys.end_session(session_of(cookie["cookie"]))
    assert ask(guard, "GET", "/status", cookie).status_code == 401


def test_websockets_need_the_origin_and_the_key() -> None:
    guard, keys = guarded(token=TOKEN)
    cookie = {"cookie": f"{COOKIE}={keys.begin_session()}"}
    own = {"origin": "http://127.0.0.1:8080"}
    taken = [own | cookie, BEARER, own | BEARER]
    refused = [own, {}, cookie | {"origin": "http://evil.example"}, BEARER | {"host": "evil.example"}]
    assert [connect(guard, headers) for headers in taken] == ["websocket.accept"] * len(taken)
    assert [connect(guard, headers) for headers in refused] == ["websocket.close"] * len(refused)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"x" * 1024, {}, 200),
        (b"x" * 1025, {}, 413),
        (b"", {"content-length": "99999999"}, 413),
        (b"", {"content-length": "-1"}, 413),
        (b"", {"content-length": "²"}, 413),
    ],
)
def test_bodies(content: bytes, headers: dict[str, str], status: int) -> None:
    guard, _ = guarded(body_bytes=1024)
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = ask(guard, "POST", "/x", encoded, content=content)  # type: ignore[arg-type]
    assert answer.status_code == status


def test_a_body_without_a_length_is_bounded_too() -> None:
    async def pieces(many: Iterable[bytes]) -> AsyncIterator[bytes]:
        for piece in many:
            yield piece

    guard, _ = guarded(body_bytes=1024)
    assert ask(guard, "POST", "/x", content=pieces([b"x" * 500] * 3)).status_code == 413
    fits = ask(guard, "POST", "/x", content=pieces([b"x" * 500] * 2))
    assert (fits.status_code, fits.text) == (200, "1000")


def test_a_request_that_takes_too_long_is_ended() -> None:
    guard, _ = guarded(request_timeout=0.05)
    answer = ask(guard, "GET", "/slow")
    assert answer.status_code == 408
    assert "longer than 0.05 s" in answer.json()["detail"]


def test_a_body_that_trickles_is_ended() -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    guard, _ = guarded(request_timeout=0.05)
    assert ask(guard, "POST", "/x", content=trickle()).status_code == 408


def test_a_flooding_client_is_held_back() -> None:
    clock = Clock()
    guard, _ = guarded(clock=clock, requests_per_second=5)
    statuses = [ask(guard, "GET", "/x").status_code for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2
    clock.now += 1
    again = [ask(guard, "GET", "/x").status_code for _ in range(6)]
    assert again == [200] * 5 + [429]


def test_tokens_cannot_be_tried_fast() -> None:
    guard, _ = guarded(token=TOKEN)
    statuses = [ask(guard, "POST", "/session").status_code for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2


def test_buckets_of_very_many_clients_are_bounded() -> None:
    buckets = Buckets(1, Clock())
    for client in range(CLIENTS_MAX + 100):
        assert buckets.take(str(client))
    assert len(buckets._left) == CLIENTS_MAX


def test_files_of_the_page_count_an_eighth() -> None:
    """A page is some forty requests at once, and a reload is no flood."""
    guard, _ = guarded(requests_per_second=10)
    files = [ask(guard, "GET", "/page/app.js").status_code for _ in range(161)]
    assert files == [200] * 160 + [429]
    assert ask(guard, "GET", "/status").status_code == 429


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/page/app.js", 200),
        ("GET", "/page/", 200),
        ("POST", "/", 401),
        ("POST", "/page/app.js", 401),
        ("GET", "/pages", 401),
        ("GET", "/page", 401),
        ("GET", "/status", 401),
    ],
)
def test_the_page_alone_is_open_without_a_token(method: str, path: str, status: int) -> None:
    guard, _ = guarded(token=TOKEN)
    assert ask(guard, method, path).status_code == status


def test_what_says_how_long_it_may_be_kept_is_left_alone() -> None:
    async def kept(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"cache-control", b"public, max-age=60")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    clock = Clock()
    answer = ask(Guard(kept, ServeConfig(), Keys(None, clock), clock), "GET", "/page/app.js")
    assert answer.headers.get_list("cache-control") == ["public, max-age=60"]
    guard, _ = guarded()
    assert ask(guard, "GET", "/status").headers["cache-control"] == "no-store"
