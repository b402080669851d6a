"""How somebody else's receiver is asked for its count."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from haechi.config.values import read_ports
from haechi.trial import host
from haechi.trial.scenario import ReceivedSection
from haechi.trial.target import TargetFailedError, ask_count, read_count


@pytest.mark.parametrize(
    ("text", "json_path", "pattern", "count"),
    [
        ("12\n", None, None, 12),
        ('{"stats": [{"received": 34}]}', "stats.0.received", None, 34),
        ('{"received": "56"}', "received", None, 56),
        ("udp: 3 errors, 78 received", None, r"(\d+) received", 78),
    ],
)
def test_a_count_is_read(text: str, json_path: str | None, pattern: str | None, count: int) -> None:
    assert read_count(text, "it", json_path, pattern) == count


@pytest.mark.parametrize(
    ("text", "json_path", "pattern", "said"),
    [
        ("many", None, None, "it: 'many' is no count"),
        ("-1", None, None, "it: -1 is no count"),
        ("{", "a", None, "is not JSON"),
        ('{"a": 1}', "a.b", None, "a.b: the answer has no 'b'"),
        ('{"a": [1]}', "a.7", None, "no '7'"),
        ("none", None, r"(\d+)", "is not found in the answer"),
    ],
)
def test_what_is_no_count_is_told(text: str, json_path: str | None, pattern: str | None, said: str) -> None:
    with pytest.raises(TargetFailedError) as refused:
        read_count(text, "it", json_path, pattern)
    assert said in str(refused.value)


def asked(**settings: Any) -> int:
    return ask_count(ReceivedSection.model_validate(settings))


def test_a_command_is_asked() -> None:
    assert asked(command=[sys.executable, "-c", "print(7)"]) == 7
    assert asked(command="echo 8") == 8
    with pytest.raises(TargetFailedError, match=r"ended with status 3\. no such queue"):
        asked(command=["sh", "-c", "echo no such queue >&2; exit 3"])
    with pytest.raises(TargetFailedError, match="No such file"):
        asked(command=["/nowhere/count"])


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/stats" else 404)
        self.end_headers()
        self.wfile.write(b'{"input": {"received": 99}}')

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_a_url_is_asked(server: str) -> None:
    assert asked(url=f"{server}/stats", json="input.received") == 99
    with pytest.raises(TargetFailedError, match="Not Found"):
        asked(url=f"{server}/none", json="input.received")


def test_free_ports_are_as_many_as_asked_for() -> None:
    assert len(set(read_ports(host.free_ports(7, "udp")))) == 7
    assert len(read_ports(host.free_ports(1, "tcp"))) == 1


def test_the_machine_is_read() -> None:
    busy, total = host.processor_seconds()
    assert 0 < busy <= total
    assert host.memory_used_bytes() > 0
    assert host.process_seconds(2**22 + 1) is None
    assert host.process_memory_bytes(2**22 + 1) is None
