"""The page's files over HTTP: where they are, how long they may be kept, and what is none of them."""

from __future__ import annotations

import gzip
import re
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from haechi.config.serve import ServeConfig
from haechi.serve.app import make_app
from haechi.serve.keys import Keys
from haechi.serve.page import PLOTLY, TYPES, Files, plotly_file, takes_gzip


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    """Of a server that wants a token."""
    config = ServeConfig(state=tmp_path, demand_token=True, requests_per_second=1000)
    app = make_app(config, Keys("x" * 43, time.monotonic))
    return TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))


def test_the_page_is_open_and_its_files_may_be_kept(client: TestClient) -> None:
    index = client.get("/")
    assert index.status_code == 200
    assert index.headers["cache-control"] == "no-cache"
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in index.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="(/page/[^"]+)"', index.text)
    assert len(links) > 5
    for link in links:
        file = client.get(link)
        assert file.status_code == 200, link
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert file.headers["content-type"] == TYPES["." + link.rpartition(".")[2]]
        assert file.headers["x-content-type-options"] == "nosniff"


def test_the_api_behind_it_is_not_open(client: TestClient) -> None:
    assert client.get("/status").status_code == 401
    assert client.get("/storms/storm-1/history").status_code == 401
    assert client.post("/page/app.js").status_code == 401


def test_what_has_not_changed_is_not_sent_again(client: TestClient) -> None:
    for path in ("/", "/page/app.js"):
        first = client.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = client.get(path, headers={"if-none-match": first.headers["etag"]})
        assert again.status_code == 304 and again.content == b""
        assert client.get(path, headers={"if-none-match": '"another"'}).status_code == 200


def test_gzip_where_the_client_takes_it(client: TestClient) -> None:
    plain = client.get("/page/app.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with client.stream("GET", "/page/app.js", headers={"accept-encoding": "br, gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept-encoding"
    assert gzip.decompress(raw) == plain.content
    head = client.head("/page/app.js")
    assert head.status_code == 200


def test_plotly_is_the_wheels(client: TestClient) -> None:
    answer = client.get(f"/page/{PLOTLY}")
    source = plotly_file()
    assert source is not None and answer.content == source.read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/nothing.js",
        "/page/../serve/app.py",
        "/page/%2e%2e/serve/app.py",
        "/page/..%2fserve%2fapp.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/words",
        "/page/0123456789abcdef/app.js",
        "/page/app.js%00.css",
    ],
)
def test_nothing_else_is_a_file_of_it(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (401, 404), path
    assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("br", False),
        ("", False),
    ],
)
def test_who_takes_gzip(said: str, taken: bool) -> None:
    assert takes_gzip({"accept-encoding": said}) is taken


def test_a_changed_file_makes_another_digest(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("@page")
    (tmp_path / "secret.txt").write_text("not of the page")
    (tmp_path / "link.js").symlink_to("/etc/hostname")
    files = Files(tmp_path)
    assert files.names() == ["index.html"]
    first = files.digest
    files.renew()
    assert files.digest == first
    (tmp_path / "app.js").write_text("1")
    files.renew()
    assert files.digest != first
    assert files.names() == ["app.js", "index.html"]
