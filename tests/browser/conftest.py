"""A real browser before a real control plane: what the tests of the page share."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from tests.integration.serve_room import Serving, serving, until

CHROMIUM = Path(__file__).resolve().parents[2] / "deploy" / "chromium.sh"
PATIENCE_MS = 60_000
WIDE: ViewportSize = {"width": 1440, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 844}
# What the page did that its policy does not allow, also where nobody looks at the console.
WATCH_POLICY = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""

# What a browser says of a server that is gone.
LOST = ("ERR_CONNECTION", "WebSocket", "Failed to load resource")

Open = Callable[..., "Board"]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """For the tests in this folder and no longer: while playwright is there, no other test of its process can
    run an event loop."""
    done = subprocess.run([CHROMIUM], capture_output=True, text=True, timeout=900)
    if done.returncode:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=done.stdout.split()[0], args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for the tests of a module."""
    with serving(tmp_path_factory.mktemp("serve"), requests_per_second=2000) as running:
        yield running


@dataclass
class Board:
    """The page of a server, open in a browser."""

    page: Page
    url: str
    said: list[str] = field(default_factory=list)  # errors on the console, and of scripts

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def until(self, expression: str) -> Any:
        """Waits for a JavaScript expression to be true. Playwright itself would evaluate a text in the page,
        which its policy forbids."""
        return until(lambda: self.page.evaluate(expression))

    def live(self) -> None:
        self.page.wait_for_selector('#connection[data-state="open"]', timeout=PATIENCE_MS)

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))

    def violations(self) -> list[str]:
        found: list[str] = self.page.evaluate("window.violations")
        return found


@pytest.fixture
def open_board(chromium: Browser, plane: Serving) -> Iterator[Open]:
    """Opens the page; an error that one of them says on the console fails the test. `expected`: parts of what
    may be said."""
    with contextlib.ExitStack() as ending:
        opened: list[tuple[Board, tuple[str, ...]]] = []

        def open_one(
            path: str = "/",
            *,
            url: str | None = None,
            context: BrowserContext | None = None,
            expected: tuple[str, ...] = (),
            **settings: Any,
        ) -> Board:
            if context is None:
                context = chromium.new_context(**{"viewport": WIDE, "locale": "en-US", **settings})
                context.add_init_script(WATCH_POLICY)
                ending.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            board = Board(page, url or plane.url)
            page.on("console", lambda one: board.said.append(one.text) if one.type == "error" else None)
            page.on("pageerror", lambda error: board.said.append(str(error)))
            # A server of the test's own ends before the page does.
            opened.append((board, expected + (LOST if url is not None else ())))
            page.goto(board.url + path)
            return board

        yield open_one
        for board, expected in opened:
            odd = [said for said in board.said if not any(part in said for part in expected)]
            assert odd == []
            assert board.violations() == []
