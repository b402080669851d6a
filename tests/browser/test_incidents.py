"""Incidents and explanations in the Detect tab, before a real detector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDE, Board, Open
from tests.integration.engine_room import log_line, make_bundle, need_engine
from tests.integration.serve_room import Serving, serving, until
from tests.integration.test_explain import CLOSE, NORMAL, OPEN, WRITE, with_examples
from tests.unit.incident_room import burst, guess, said

WORDS = Path(__file__).resolve().parents[2] / "src" / "haechi" / "page" / "words"
EN: dict[str, Any] = json.loads((WORDS / "en" / "detect.json").read_text())
KO: dict[str, Any] = json.loads((WORDS / "ko" / "detect.json").read_text())
PHONE = {"width": 360, "height": 740}
EVIL = "<img src=x onerror='window.ran=1'>\u202egnp.exe"
SOURCE = "10.0.0.9"


@dataclass
class Room:
    plane: Serving
    alerts: Path

    def write(self, alerts: list[dict[str, Any]]) -> None:
        with self.alerts.open("a") as file:
            file.writelines(json.dumps(one) + "\n" for one in alerts)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A detector that follows a log with one session out of order; the other alerts are put into its file."""
    need_engine()
    folder = tmp_path_factory.mktemp("incidents")
    bundle = with_examples(make_bundle(folder / "base"), folder / "bundles").path
    log = folder / "app.log"
    rows = [(n / 10, log_line(n / 10, 2, text)) for n, text in enumerate([OPEN, CLOSE, WRITE, CLOSE])]
    rows += [(600 + n, log_line(600 + n, 9, text)) for n, text in enumerate(NORMAL)]
    log.write_text("".join(line for _, line in rows))
    with serving(folder / "serve", "--read", folder, requests_per_second=2000) as plane:
        job = plane.post("/detectors", {"bundle": str(bundle), "sources": [str(log)], "follow": True})
        room = Room(plane, Path(job["settings"]["alerts"]))
        until(lambda: plane.get("/alerts", session="web1 2")["alerts"])
        guesses = [guess(1000 + n, SOURCE, n, f"h{n % 3}", severity="high") for n in range(60)]
        evil = said(1060, "h7", "app", 1, EVIL, template=EVIL, severity="critical")
        minor = said(1061, "h8", "other", 1, "odd", template="odd", severity="low")
        room.write([*guesses, burst(1059, "h1"), evil, minor])
        until(lambda: plane.get("/incidents")["opened"] >= 4)
        yield room


@pytest.fixture(scope="module")
def plane(room: Room) -> Serving:
    return room.plane


@pytest.fixture
def board(open_board: Open, room: Room) -> Board:
    return look(open_board(path="/#detect"))


def look(board: Board) -> Board:
    board.live()
    board.page.click("#detect-incidents")
    board.page.wait_for_selector(".incident")
    return board


def of_source(page: Page) -> Any:
    return page.locator(".incident", has_text=SOURCE).first


def only_of(page: Page, session: str) -> Any:
    """The one alert of a session, when the list shows nothing else: what was typed takes a moment."""
    page.fill("[name=session]", session)
    row = page.locator(".alert-row")
    expect(row).to_have_count(1)
    return row


def test_alerts_of_one_cause_are_one_row(board: Board, room: Room) -> None:
    row = of_source(board.page)
    expect(row.locator(".incident-subject")).to_have_text(f"Source {SOURCE}")
    expect(row.locator(".incident-size")).to_have_text("61 alerts, 60 sessions, 3 hosts")
    expect(row.locator(".badge")).to_have_text(EN["severity_critical"])  # two detectors agree
    shown = room.plane.get("/incidents", raised="true")["incidents"]
    expect(board.page.locator(".incident")).to_have_count(len(shown))
    board.page.get_by_label(EN["incidents_every"]).check()
    expect(board.page.locator(".incident", has_text="h8")).to_be_visible()
    expect(board.page.locator(".incident")).to_have_count(len(room.plane.get("/incidents")["incidents"]))


def test_an_incident_whole_and_its_alerts(board: Board) -> None:
    page = board.page
    of_source(page).locator("button").click()
    panel = page.locator(".incident-detail")
    expect(panel.locator("h3")).to_have_text(f"Source {SOURCE}")
    expect(panel.locator(".detail-counts li")).to_have_count(2)
    expect(panel.locator(".detail-counts")).to_contain_text("rates")
    expect(panel.locator('[data-sort="sources"]')).to_contain_text(SOURCE)
    expect(panel.locator('[data-sort="sessions"]')).to_contain_text("and 40 more")
    expect(panel.locator(".incident-alert")).to_have_count(20)
    panel.get_by_role("button", name="and 41 more").click()
    expect(panel.locator(".incident-alert")).to_have_count(61)
    panel.locator(".incident-alert").first.click()
    alert = page.locator(".alert-detail:not(.incident-detail)")
    expect(alert).to_be_visible()
    expect(panel).to_be_hidden()
    expect(alert.locator("pre").first).to_contain_text(f"from {SOURCE} port 40000")
    page.keyboard.press("Escape")  # back to the incident, then to the list
    expect(panel).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_its_session_is_looked_for_among_the_alerts(board: Board) -> None:
    page = board.page
    of_source(page).locator("button").click()
    page.locator('.incident-detail [data-sort="sessions"] button').first.click()
    expect(page.locator("#detect-panel-alerts")).to_be_visible()
    expect(page.locator(".alert-row")).to_have_count(1)


def test_an_incident_grows_and_is_acknowledged(board: Board, room: Room) -> None:
    page = board.page
    of_source(page).locator("button").click()
    panel = page.locator(".incident-detail")
    expect(panel.locator(".incident-what")).to_contain_text("61 alerts")
    room.write([guess(1062, SOURCE, 70, severity="high")])
    expect(of_source(page).locator(".incident-size")).to_contain_text("62 alerts")
    expect(panel.locator(".incident-what")).to_contain_text("62 alerts")
    panel.get_by_role("button", name=EN["acknowledge"], exact=True).click()
    expect(panel.locator(".detail-done")).to_be_visible()
    expect(of_source(page).locator(".incident-state")).to_contain_text(EN["acknowledged"])
    done = room.plane.get("/incidents", acknowledged="true")["incidents"]
    assert [one["cause"]["of"] for one in done] == [[SOURCE]]


def test_filters(board: Board, room: Room) -> None:
    page = board.page
    page.locator(".incidents-filter select").first.select_option("critical")
    count = len(room.plane.get("/incidents", severity="critical", raised="true")["incidents"])
    expect(page.locator(".incident")).to_have_count(count)
    page.locator(".incidents-filter select").nth(1).select_option("closed")
    closed = room.plane.get("/incidents", severity="critical", raised="true", state="closed")["incidents"]
    expect(page.locator(".incident")).to_have_count(len(closed))


def test_what_a_log_says_is_text(board: Board) -> None:
    row = board.page.locator(".incident", has_text="h7")
    row.locator("button").click()
    expect(board.page.locator(".incident-detail pre")).to_contain_text("<img src=x onerror")
    expect(board.page.locator(".incident-detail pre")).to_contain_text("<U+202E>")
    assert board.page.evaluate("window.ran") is None


@pytest.mark.parametrize("language", ["en-US", "ko-KR"])
def test_nothing_is_wider_than_its_window(open_board: Open, room: Room, language: str) -> None:
    for size in (PHONE, WIDE):
        board = look(open_board(path="/#detect", viewport=size, locale=language))
        assert board.overflow() == 0
        of_source(board.page).locator("button").click()
        expect(board.page.locator(".incident-alert").first).to_be_visible()
        assert board.overflow() == 0
    if language == "ko-KR":
        expect(of_source(board.page).locator(".incident-subject")).to_have_text(f"출발지 {SOURCE}")
        expect(board.page.locator("#detect-incidents")).to_have_text(KO["incidents"])


def test_an_alert_is_explained(open_board: Open, room: Room) -> None:
    board = open_board(path="/#detect")
    board.live()
    page = board.page
    only_of(page, "web1 2").click()
    panel = page.locator(".alert-detail:not(.incident-detail)")
    panel.get_by_role("button", name=EN["explain"], exact=True).click()
    expect(panel.locator(".explained-lines .is-it")).to_have_count(1)
    expect(panel.locator(".explained-lines tbody tr")).to_have_count(5)  # four lines and the end
    expect(panel.locator(".explained-similar [data-mark='missing']").first).to_contain_text("read block")
    expect(panel.locator(".explained")).to_contain_text("50 times in training")
    assert board.overflow() == 0


def test_what_cannot_be_explained_is_said(open_board: Open, room: Room) -> None:
    board = open_board(path="/#detect", expected=("409",))
    board.live()
    page = board.page
    only_of(page, "h8").click()
    page.locator('[data-act="explain"]').click()
    expect(page.locator(".explained")).to_contain_text("cannot be read again")
