"""`haechi serve` as a whole: what it starts, shows, and leaves behind."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import websockets
from websockets.sync.client import connect

from haechi.serve import run as server
from haechi.serve.streams import POLICY_VIOLATED
from haechi.storm.maker import make
from tests.conftest import Made
from tests.integration.serve_room import PATIENCE_S, PROGRAM, Serving, alive, serving, until
from tests.integration.sink_room import free_ports

FIELDS = set(
    "current_eps peak_eps average_eps total_events cpu_usage memory_usage_bytes network_tx_bytes "
    "network_packets packet_loss_percent error_rate uptime_seconds worker_metrics".split()
)
OF_WORKER = set("id port eps total_sent errors cpu_core status".split())
KPIS = set(
    "achieved_eps target_achievement_percent peak_eps average_eps eps_consistency_score uptime_percentage "
    "packet_loss_rate error_rate mtbf_hours mttr_minutes cpu_efficiency memory_efficiency "
    "network_utilization linear_scalability grade".split()
)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("serve"), requests_per_second=1000) as running:
        yield running


def begin(plane: Serving, **storm: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A sink and a storm to it."""
    ports = ",".join(map(str, free_ports(2)))
    sink = plane.post("/sinks", {"ports": ports})
    wish = {"target": "127.0.0.1", "ports": ports, "eps": 2000, "account": True, "workers": 1, **storm}
    return sink, plane.post("/storms", wish)


def ended(plane: Serving, kind: str, name: str) -> dict[str, Any]:
    found = until(lambda: (job := plane.get(f"/{kind}/{name}"))["state"] in ("done", "failed") and job)
    assert isinstance(found, dict)
    return found


def test_a_storm_from_start_to_end(plane: Serving) -> None:
    sink, storm = begin(plane)
    path = f"/storms/{storm['id']}"
    assert storm["state"] == "running"
    shown = until(lambda: (job := plane.get(path))["metrics"].get("total_events") and job)
    assert set(shown["metrics"]) >= FIELDS
    assert len(shown["metrics"]["worker_metrics"]) == 2
    assert set(shown["metrics"]["worker_metrics"][0]) >= OF_WORKER

    answer = plane.client.put(f"{path}/rate", json={"eps": "5k"})
    assert (answer.status_code, answer.json()["settings"]["eps"]) == (200, 5000)
    until(lambda: plane.get(path)["metrics"]["target_eps"] == 5000)
    assert plane.post(f"{path}/pause", status=200)["state"] == "paused"
    until(lambda: plane.get(path)["metrics"]["paused"])
    assert plane.post(f"{path}/resume", status=200)["state"] == "running"
    plane.post(f"{path}/stop", status=200)

    totals = ended(plane, "storms", storm["id"])
    assert (totals["state"], totals["error"]) == ("done", None)
    plane.post(f"/sinks/{sink['id']}/stop", status=200)
    received = ended(plane, "sinks", sink["id"])["result"]
    assert received["closed"]
    assert received["received"] + received["lost"] == totals["result"]["events"] > 0

    for action in ("stop", "pause", "resume"):
        plane.post(f"{path}/{action}", status=409)
    assert plane.client.put(f"{path}/rate", json={"eps": 1}).status_code == 409
    assert plane.client.delete(path).status_code == 204
    assert plane.client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        ({"target": "8.8.8.8"}, "outside loopback"),
        ({"target": "127.0.0.1", "ports": "22"}, "below 514"),
        ({"target": "127.0.0.1", "eps": "1G"}, "above the limit"),
        ({"target": "127.0.0.1", "max_eps": "1G"}, "not a client's to set"),
        ({"target": "127.0.0.1", "profile": "nosuch"}, "neither a file nor one of the profiles"),
        ({"target": "127.0.0.1", "truth": "/etc/passwd"}, "is not a plain file name"),
        ({}, "target is required"),
    ],
)
def test_a_storm_that_is_refused(plane: Serving, wish: dict[str, Any], complaint: str) -> None:
    before = len(plane.get("/storms"))
    assert complaint in plane.post("/storms", wish, status=422)["detail"]
    assert len(plane.get("/storms")) == before


def test_a_rate_that_is_refused(plane: Serving) -> None:
    sink, storm = begin(plane)
    path = f"/storms/{storm['id']}/rate"
    for eps in ("1G", "fast", None, -1, "max"):
        answer = plane.client.put(path, json={"eps": eps})
        assert answer.status_code == 422, (eps, answer.text)
    for kind, job in (("sinks", sink), ("storms", storm)):
        plane.post(f"/{kind}/{job['id']}/stop", status=200)
        ended(plane, kind, job["id"])


def test_a_sink_that_cannot_begin_says_why(plane: Serving) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        said = plane.post("/sinks", {"ports": str(taken.getsockname()[1])}, status=409)
    assert "in use" in said["detail"]


def test_websockets_carry_what_the_api_says(plane: Serving) -> None:
    sink, storm = begin(plane)
    with connect(plane.url.replace("http", "ws") + "/metrics") as stream:

        def storms() -> Any:
            message = json.loads(stream.recv(PATIENCE_S))
            return [one for one in message["storms"] if one["id"] == storm["id"] and "current_eps" in one]

        (figures,) = until(storms)
    assert set(figures) >= FIELDS
    with connect(plane.url.replace("http", "ws") + "/kpi-stream") as stream:
        message = json.loads(stream.recv(PATIENCE_S))
        (kpis,) = [one for one in message["storms"] if one["id"] == storm["id"]]
        assert set(kpis) >= KPIS
        stream.send("hello")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                stream.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == POLICY_VIOLATED
    text = plane.client.get("/metrics").text
    assert f'log_generator_current_eps{{storm="{storm["id"]}"}}' in text
    assert f'haechi_sink_received_total{{sink="{sink["id"]}"}}' in text
    for kind, job in (("storms", storm), ("sinks", sink)):
        plane.post(f"/{kind}/{job['id']}/stop", status=200)
        ended(plane, kind, job["id"])


def test_a_page_of_somebody_else_gets_no_websocket(plane: Serving) -> None:
    with pytest.raises(websockets.InvalidStatus):
        connect(plane.url.replace("http", "ws") + "/metrics", origin=websockets.Origin("http://evil.example"))


def test_alerts_of_a_detector(tmp_path: Path, made: Made) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(made.log.read_bytes())
    make(tmp_path / "hostile.log", count=1, eps=1, seed=1, form="iso", profile="system")
    line = (tmp_path / "hostile.log").read_text().splitlines()[0]
    with log.open("a") as file:
        file.write(line.partition(": ")[0] + ": <script>alert(1)</script> never seen\n")
    rules = [{"name": "seen", "metric": "alerts_low", "above": -1}]
    with serving(tmp_path, read=[str(tmp_path), str(made.bundles)], rules=rules) as plane:
        wish = {"bundle": str(made.bundle), "sources": ["app.log"]}
        job = plane.post("/detectors", wish)
        totals = ended(plane, "detectors", job["id"])
        assert totals["error"] is None
        count = totals["result"]["alerts"]
        page = until(lambda: (found := plane.get("/alerts", limit=5))["kept"] == count and found)
        assert count > 5
        assert sum(page["counts"].values()) == count
        schema = json.loads((Path(__file__).resolve().parents[2] / "docs" / "alert.schema.json").read_text())
        for entry in page["alerts"]:
            jsonschema.validate(entry["alert"], schema)
        older = plane.get("/alerts", limit=5, before=page["next"])
        assert older["alerts"][0]["number"] == page["alerts"][-1]["number"] - 1
        first = page["alerts"][0]
        session = first["alert"]["session"]
        mine = plane.get("/alerts", session=session, limit=500)["alerts"]
        assert mine
        assert {entry["alert"]["session"] for entry in mine} == {session}
        hostile = plane.client.get("/alerts", params={"limit": 500})
        assert hostile.headers["content-type"] == "application/json"
        assert "<script>alert(1)</script> never seen" in hostile.text
        number = first["number"]
        assert plane.post(f"/alerts/{number}/acknowledge", status=200)["acknowledged"]
        assert [a["number"] for a in plane.get("/alerts", acknowledged=True)["alerts"]] == [number]
        assert plane.post(f"/alerts/{number}/mute", {"seconds": 60}, status=200)["muted"]
        assert len(plane.get("/mutes")) == 1
        assert not plane.client.delete(f"/alerts/{number}/mute").json()["muted"]
        assert plane.client.get("/alerts/999999").status_code == 404
        assert plane.client.get("/alerts", params={"limit": 501}).status_code == 422
        outside = {"bundle": "/etc", "sources": ["/etc/passwd"]}
        assert "may read" in plane.post("/detectors", outside, status=422)["detail"]
        assert 'haechi_alerts_total{detector="detector-1"' in plane.client.get("/metrics").text


def test_term_ends_a_storm_gracefully(tmp_path: Path) -> None:
    with serving(tmp_path) as plane:
        begin(plane, truth="truth.jsonl", anomaly_rate=0.5)
        pids = plane.children()
        assert len(pids) == 2
        assert plane.end() == 0, plane.said()
        assert not any(alive(pid) for pid in pids)


def test_a_killed_server_leaves_no_process_behind(tmp_path: Path) -> None:
    with serving(tmp_path) as plane:
        begin(plane)
        pids = plane.children()
        assert len(pids) == 2
        plane.end(signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in pids))


def test_a_storm_that_is_killed_is_said(tmp_path: Path) -> None:
    with serving(tmp_path, healing={"enabled": False}) as plane:
        _, storm = begin(plane)
        until(lambda: plane.get(f"/storms/{storm['id']}")["metrics"])
        (pid,) = [pid for pid in plane.children() if "storm" in Path(f"/proc/{pid}/comm").read_text()]
        subprocess.run(["kill", "-9", str(pid)], check=True)
        job = ended(plane, "storms", storm["id"])
        assert job["state"] == "failed"
        assert "signal SIGKILL" in job["error"]
        events = until(lambda: plane.get("/rules/events"))
        assert events[0]["rule"] == "worker_down"
        assert events[0]["subject"] == storm["id"]


def test_beyond_loopback_a_token_is_demanded(tmp_path: Path) -> None:
    with serving(tmp_path, address="0.0.0.0") as plane:
        assert "without TLS the token can be read on the way" in plane.said()
        local = f"http://127.0.0.1:{plane.port}"
        assert httpx.get(f"{local}/health").status_code == 200
        for path in ("/status", "/metrics", "/openapi.json", "/alerts"):
            assert httpx.get(local + path).status_code == 401
        assert httpx.post(f"{local}/storms", json={"target": "127.0.0.1"}).status_code == 401
        with pytest.raises(websockets.InvalidStatus):
            connect(local.replace("http", "ws") + "/metrics")
        file = tmp_path / "state" / "token"
        assert file.stat().st_mode & 0o777 == 0o600
        token = file.read_text().strip()
        assert httpx.get(f"{local}/status", headers={"authorization": f"Bearer {token}"}).status_code == 200
        with httpx.Client(base_url=local) as browser:
            assert browser.post("/session", json={"token": "x" * 43}).status_code == 401
            entered = browser.post("/session", json={"token": token})
            assert entered.status_code == 204
            cookie = entered.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            assert browser.get("/status").status_code == 200
            kept = dict(browser.cookies)
            assert browser.delete("/session").status_code == 204
            again = httpx.get(f"{local}/status", cookies=kept)
            assert again.status_code == 401


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "cert.pem", folder / "key.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = ["openssl", *request.split(), "-addext", names, "-out", str(pem), "-keyout", str(key)]
    made = subprocess.run(command, capture_output=True)
    if made.returncode:
        pytest.skip("openssl cannot make a certificate here")
    return pem, key


def test_tls_from_version_1_2_on(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    pem, key = certificate
    with serving(tmp_path, tls_certificate=str(pem), tls_key=str(key), demand_token=True) as plane:
        assert plane.url.startswith("https://")
        answer = plane.client.get("/health")
        assert answer.headers["strict-transport-security"]
        token = (tmp_path / "state" / "token").read_text().strip()
        cookie = plane.client.post("/session", json={"token": token}).headers["set-cookie"]
        assert "secure" in cookie.lower()

        def versions(most: ssl.TLSVersion) -> str | None:
            context = ssl.create_default_context(cafile=pem)
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.maximum_version = most
            with (
                socket.create_connection(("127.0.0.1", plane.port), timeout=PATIENCE_S) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
            ):
                return secured.version()

        assert versions(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        assert versions(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        with pytest.warns(DeprecationWarning), pytest.raises((ssl.SSLError, OSError)):
            versions(ssl.TLSVersion.TLSv1_1)


def test_a_client_that_trickles_its_headers_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADERS_S", 0.2)

    async def scene() -> bytes:
        import uvicorn

        from haechi.config.serve import ServeConfig
        from haechi.serve.keys import Keys

        config = server._uvicorn(ServeConfig(port=0), Keys(None, lambda: 0.0))
        config.lifespan, config.port = "off", 0
        running = uvicorn.Server(config)
        task = asyncio.create_task(running._serve())
        async with asyncio.timeout(PATIENCE_S):
            while not running.started:
                await asyncio.sleep(0.01)
            port = running.servers[0].sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: 127")
            try:
                got = await reader.read()
            except ConnectionResetError:
                got = b""
            writer.close()
            running.should_exit = True
            await task
        return got

    assert asyncio.run(scene()) == b""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--port", "70000"), "70000"),
        (("--tls-key", "k"), "tls_certificate and tls_key need each other"),
        (("--tls-key", "no.pem", "--tls-certificate", "no.pem"), "no.pem"),
        (("--origins", "example"), "origins: 'example' is not one"),
    ],
)
def test_a_server_that_does_not_begin(tmp_path: Path, arguments: tuple[str, ...], complaint: str) -> None:
    command = ["serve", "--port", "0", "--state", str(tmp_path), *arguments]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command], capture_output=True, text=True, timeout=60
    )
    assert done.returncode in (1, 2)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
