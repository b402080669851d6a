"""`haechi bench serve`: what the control plane costs while a storm is watched in a browser, and how soon the
page shows what is so.

A server of its own, a sink, a storm of 40 streams at 4 M events/s, and a chromium without a window before the
page. cpu_cores and rss_mb are of the server's process alone; storm, sink and browser have their own. The
browser's figures:

    first_paint_ms        from the request for the page until a storm's figures stand on it and it can be
                          used, in a browser that has nothing of it yet; before the large storm begins
    first_paint_storm_ms  the same while the large storm takes the machine
    staleness_p99_ms      from the order that a storm is to pause, or to go on, until the page says that it
                          does; while the large storm runs

mttr_ms is from kill -9 of a storm's process until events flow again (haechi.serve.recovery), on average."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import psutil

from haechi.bench import machine
from haechi.bench.spread import Number
from haechi.serve.recovery import measure_recovery

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
STREAMS = 40
PATIENCE_S = 60.0
SETTLE_S = 4.0  # a storm's and a page's first seconds are not what watching costs
_SIZE = {"width": 1440, "height": 900}
_PROGRAM = "import sys; from haechi.cli.main import main; sys.exit(main(sys.argv[1:]))"
_AT = "performance.getEntriesByName('haechi-figures').map((mark) => mark.startTime)[0] ?? null"
_PAINT = "performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)[0] ?? null"
# Every state of one storm that the page says, and when.
_WATCH = """(storm) => {
    window.told = [];
    const look = () => {
        const state = document.querySelector(`.chip[data-storm="${storm}"]`)?.dataset.state;
        if (state && state !== window.told.at(-1)?.[0]) window.told.push([state, Date.now()]);
    };
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
    look();
}"""


class ServeBenchError(Exception):
    """The server or the page did not do what is measured."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    eps: float
    seconds: float
    loads: int = 5
    changes: int = 30
    kills: int = 5


@dataclass(frozen=True, slots=True)
class ServeBench:
    cpu_cores: float
    rss_mb: float
    storm_eps: float
    paints_ms: Sequence[float]  # of each load; empty where there is no browser
    content_ms: Sequence[float]
    paints_storm_ms: Sequence[float]
    staleness_ms: Sequence[float]
    recoveries_ms: Sequence[float]

    def as_json(self) -> dict[str, Number | None]:
        """Plain numbers; null where there was no browser to measure with."""
        stale = sorted(self.staleness_ms)
        return {
            "cpu_cores": round(self.cpu_cores, 4),
            "rss_mb": round(self.rss_mb, 1),
            "first_paint_ms": _median(self.paints_ms),
            "first_paint_max_ms": _largest(self.paints_ms),
            "first_contentful_paint_ms": _median(self.content_ms),
            "first_paint_storm_ms": _median(self.paints_storm_ms),
            "staleness_p50_ms": _median(stale),
            "staleness_p99_ms": round(stale[math.ceil(0.99 * len(stale)) - 1]) if stale else None,
            "mttr_ms": round(statistics.fmean(self.recoveries_ms)) if self.recoveries_ms else None,
            "mttr_max_ms": _largest(self.recoveries_ms),
            "storm_eps": round(self.storm_eps),
            "streams": STREAMS,
            "browser": int(bool(self.paints_ms)),
        }


def _median(values: Sequence[float]) -> int | None:
    return round(statistics.median(values)) if values else None


def _largest(values: Sequence[float]) -> int | None:
    return round(max(values)) if values else None


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    process: psutil.Process

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if data else {}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise ServeBenchError(f"{method} {path}: {error.read().decode(errors='replace')}") from None

    def storm(self, ports: str, eps: float) -> str:
        wish = {"target": "127.0.0.1", "ports": ports, "eps": eps, "account": True}
        name: str = self.ask("POST", "/storms", wish)["id"]
        return name

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server on a port of its own, with a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="haechi-bench-") as name:
        folder = Path(name)
        command = [sys.executable, "-c", _PROGRAM, "serve", "--port", "0", "--state", str(folder / "state")]
        with (folder / "stderr").open("wb") as errors:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=folder)
        try:

            def listening() -> re.Match[str] | None:
                said = (folder / "stderr").read_text(errors="replace")
                if process.poll() is not None:
                    raise ServeBenchError(f"the server ended: {said.strip()}")
                return re.search(r"listening at (\S+)", said)

            yield Server(_until(listening, "the server listens")[1], psutil.Process(process.pid))
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(settings: ServeSettings, as_json: bool) -> int:
    """Measures and prints; the last line is JSON where that is asked for."""

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    host = machine.facts()
    for name, value in host.items():
        say(f"  {name:28} {value}")
    figures = measure(settings, say).as_json()
    for name, figure in figures.items():
        say(f"  {name:28} {'-' if figure is None else f'{figure:,}'}")
    if as_json:
        click.echo(json.dumps({**figures, "host": host}))
    return 0


def measure(settings: ServeSettings, say: Callable[[str], None]) -> ServeBench:
    with serving() as server, browsing(say) as browser:
        ports, small = machine.free_ports(STREAMS), machine.free_ports(1)
        server.ask("POST", "/sinks", {"ports": ports})
        server.ask("POST", "/sinks", {"ports": small})
        quiet = server.storm(small, 1000)
        say(f"the page is opened {settings.loads} times")
        paints, content = loads(browser, server, settings.loads)
        big = server.storm(ports, settings.eps)
        say(f"a storm at {settings.eps:,.0f} events/s to {STREAMS} ports runs")
        loaded, _ = loads(browser, server, settings.loads)
        with contextlib.ExitStack() as watching:
            page = watching.enter_context(opened(browser, server, big)) if browser else None
            cpu, rss = cost(server, settings.seconds)
            stale = staleness(page, server, quiet, settings.changes) if page else []
            eps = server.ask("GET", f"/storms/{big}")["metrics"]["average_eps"]
    say(f"a storm's process is killed {settings.kills} times")
    mended = measure_recovery(settings.kills, streams=STREAMS, eps=settings.eps)
    return ServeBench(cpu, rss, eps, paints, content, loaded, stale, mended)


def find_browser() -> str | None:
    names = (os.environ.get("HAECHI_CHROMIUM", ""), *BROWSERS)
    return next((path for name in names if name and (path := shutil.which(name))), None)


@contextlib.contextmanager
def browsing(say: Callable[[str], None]) -> Iterator[Any]:
    """A browser without a window; None, and a word about it, where there is none."""
    path = find_browser()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path, why = None, "playwright is not installed (pip install playwright)"
    else:
        why = "there is no chromium (Debian: chromium; or name one in HAECHI_CHROMIUM)"
    if path is None:
        say(f"{why}: the browser's figures are left out, and nobody watches")
        yield None
        return
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Any, server: Server, storm: str) -> Iterator[Any]:
    """The page with the figures of that storm on it, in a browser that has nothing of the page yet."""
    context = browser.new_context(viewport=_SIZE, locale="en-US")
    try:
        page = context.new_page()
        page.goto(f"{server.url}/#storm/{storm}")
        _until(partial(page.evaluate, _AT), "the page shows a storm's figures")
        yield page
    finally:
        context.close()


def loads(browser: Any, server: Server, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds until the page is of use, and until something is to be seen, of so many loads."""
    if browser is None:
        return [], []
    useful, seen = [], []
    storm = server.ask("GET", "/storms")[-1]["id"]
    for _ in range(count):
        with opened(browser, server, storm) as page:
            useful.append(page.evaluate(_AT))
            seen.append(_until(partial(page.evaluate, _PAINT), "the page is painted"))
    return useful, seen


def cost(server: Server, seconds: float) -> tuple[float, float]:
    """Cores and MB of the server's own process; the most of the latter."""
    time.sleep(SETTLE_S)
    began, before, most = time.monotonic(), server.cpu_seconds(), 0
    while time.monotonic() < began + seconds:
        time.sleep(0.5)
        most = max(most, server.process.memory_info().rss)
    return (server.cpu_seconds() - before) / (time.monotonic() - began), most / 1e6


def staleness(page: Any, server: Server, storm: str, changes: int) -> list[float]:
    """Milliseconds from each order until the page says what has come of it."""
    page.evaluate(_WATCH, storm)
    chance = random.Random(1)
    found = []
    for i in range(changes):
        order, state = ("resume", "running") if i % 2 else ("pause", "paused")
        time.sleep(chance.uniform(0.1, 1.1))  # at any time of the server's second
        asked = time.time()
        server.ask("POST", f"/storms/{storm}/{order}")

        def shown(state: str = state, asked: float = asked) -> float | None:
            told = page.evaluate("window.told.at(-1)")
            return told[1] if told and told[0] == state and told[1] >= asked * 1000 - 1 else None

        found.append(_until(shown, f"the page says {state}") - asked * 1000)
    return found


def _until(holds: Callable[[], Any], what: str) -> Any:
    """What `holds` returns, once that is something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise ServeBenchError(f"waited {PATIENCE_S:.0f} s in vain: {what}")
        time.sleep(0.02)
    return value
