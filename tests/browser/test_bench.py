"""`haechi bench serve` in small, with a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from haechi.bench import machine, serve
from haechi.bench.serve import Server, ServeSettings


def test_the_page_is_measured(chromium: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the browser that is there: playwright runs once in a process."""
    monkeypatch.setattr(serve, "SETTLE_S", 0.1)
    with serve.serving() as server:
        ports = machine.free_ports(2)
        server.ask("POST", "/sinks", {"ports": ports})
        storm = server.storm(ports, 500)
        paints, content = serve.loads(chromium, server, 2)
        assert len(paints) == len(content) == 2
        assert all(0 < one < 30_000 for one in [*paints, *content])
        with serve.opened(chromium, server, storm) as page:
            found = serve.staleness(page, server, storm, 2)
        assert len(found) == 2 and all(0 <= one < 30_000 for one in found)
        refused(server)


def refused(server: Server) -> None:
    with pytest.raises(serve.ServeBenchError, match="there is no storm storm-99"):
        server.ask("GET", "/storms/storm-99")


def test_settings_have_defaults() -> None:
    assert ServeSettings(eps=1.0, seconds=1.0).changes >= 20  # or a 99th percentile says nothing
