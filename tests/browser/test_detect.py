"""The Detect tab before a real detector: figures, alerts as they come, what is done with them, templates."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import WIDE, Board, Open
from tests.integration.engine_room import ORDER, fill, log_line, log_lines, make_bundle, need_engine
from tests.integration.serve_room import Serving, serving, until

WORDS = Path(__file__).resolve().parents[2] / "src" / "haechi" / "page" / "words"
EN: dict[str, Any] = json.loads((WORDS / "en" / "detect.json").read_text())
PHONE = {"width": 360, "height": 740}
EVIL = "<script>window.ran=1</script><img src=x onerror='window.ran=2'>\u202egnp.exe\x1b[31m\x07"
MANY = 10_000
SEVERITIES = ("low", "medium", "high", "critical")


@dataclass
class Room:
    """A detector that follows a log, and a way to have it raise many alerts at once."""

    plane: Serving
    bundle: Path
    log: Path
    job: str
    alerts: Path
    at_s: float = 10_000.0
    made: int = 0

    def write(self, lines: Sequence[str | bytes]) -> None:
        with self.log.open("ab") as file:
            file.writelines(line.encode() if isinstance(line, str) else line for line in lines)

    def odd(self, message: str | bytes, session: int = 7) -> None:
        """One line of a kind that nobody has seen."""
        self.at_s += 1
        head = log_line(self.at_s, session, "").rstrip("\n").encode()
        self.write([head + (message.encode() if isinstance(message, str) else message) + b"\n"])

    def flood(self, count: int) -> None:
        """As haechi-detect writes them, into its file."""
        with self.alerts.open("a") as file:
            file.writelines(json.dumps(self.alert()) + "\n" for _ in range(count))

    def alert(self, **changes: Any) -> dict[str, Any]:
        self.made += 1
        n = self.made
        return {
            "id": f"{n:032x}",
            "time": f"2026-01-05T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}Z",
            "detector": "deeplog",
            "rule": "event_likelihood",
            "score": 5.5,
            "threshold": 3,
            "stage": 2,
            "severity": SEVERITIES[n % 4],
            "session": f"flood {n % 100}",
            "log_key": 1,
            "template": f"read block <*> of file {n % 50}",
            "expected": [{"log_key": 2, "probability": 0.97, "template": "write reply <*> bytes"}],
            "before": ["open request <*>"],
            "lines": [{"source": "/var/log/app.log", "offset": n * 60, "text": f"line {n} of a flood"}],
            "bundle": "0123456789abcdef",
            "reason": "made for a test",
            **changes,
        }

    def page(self, **parameters: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.plane.get("/alerts", **parameters)
        return found

    def settled(self) -> dict[str, Any]:
        """The detector once it has read all of its log and the server all of its alerts."""

        def quiet() -> Any:
            job = self.plane.get(f"/detectors/{self.job}")
            counters = job["metrics"].get("counters", {})
            size = self.log.stat().st_size
            newest = [one["alert"]["id"] for one in self.page(limit=1, job=self.job)["alerts"]]
            lines = self.alerts.read_bytes().splitlines() if self.alerts.exists() else []
            written = [json.loads(line)["id"] for line in lines[-1:]]
            return counters.get("bytes") == size and newest == written and job

        found: dict[str, Any] = until(quiet)
        return found


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    need_engine()
    folder = tmp_path_factory.mktemp("detect")
    bundle = make_bundle(folder / "bundles").path
    log = folder / "app.log"
    log.write_text("".join(log_lines(4000, 3, odd=0.05)))
    with serving(folder / "serve", "--read", folder, requests_per_second=2000) as plane:
        job = plane.post("/detectors", {"bundle": str(bundle), "sources": [str(log)], "follow": True})
        made = Room(plane, bundle, log, job["id"], Path(job["settings"]["alerts"]))
        made.settled()
        yield made


@pytest.fixture(scope="module")
def plane(room: Room) -> Serving:
    """In place of the server that has none of this."""
    return room.plane


@pytest.fixture
def board(open_board: Open, room: Room) -> Board:
    return shown(open_board(path="/#detect"))


def shown(board: Board) -> Board:
    board.live()
    board.page.wait_for_selector(".alert-row")
    return board


def row(board: Board, number: int) -> Locator:
    return board.page.locator(f'[data-number="{number}"]')


def top(board: Board) -> Locator:
    return board.page.locator(".alert-row").first


def test_figures_equal_the_apis(board: Board, room: Room) -> None:
    room.odd("a kind of line that nobody knows")
    job = room.settled()
    counters = job["metrics"]["counters"]
    named = {
        "unseen": "unseen_lines",
        "alerts": "alerts",
        "malformed": "malformed_lines",
        "unscored": "unscored",
        "evicted": "sessions_evicted",
        "untold": "alerts_over",
        "sessions": "sessions_open",
    }
    for figure, counter in named.items():
        cell = board.page.locator(f'[data-detector="{room.job}"] [data-figure="{figure}"]')
        expect(cell).to_have_text(f"{counters[counter]:,}")
    for figure, counter in (("memo", "memo_hits"), ("model", "model_windows")):
        percent = 100 * counters[counter] / counters["windows"]
        cell = board.page.locator(f'[data-detector="{room.job}"] [data-figure="{figure}"]')
        expect(cell).to_have_text(f"{percent:.{1 if percent >= 10 else 2}f} %")
    expect(board.page.locator(".engine-plot")).to_have_count(4)
    board.page.wait_for_selector(".plot-canvas .main-svg")


def test_alerts_come_as_the_api_has_them(board: Board, room: Room) -> None:
    before = room.page(limit=1)["alerts"][0]["number"]
    room.odd("another kind of line that nobody knows", session=31)
    found = until(lambda: (page := room.page(limit=50))["alerts"][0]["number"] > before and page)
    for item in found["alerts"][:8]:
        alert = item["alert"]
        one = row(board, item["number"])
        expect(one.locator(".alert-line")).to_have_text(alert["lines"][0]["text"].rstrip())
        expect(one.locator(".badge")).to_have_text(EN[f"severity_{alert['severity']}"])
        expect(one.locator(".alert-session")).to_have_text(alert["session"])
        for expected in alert["expected"][:1]:
            percent = 100 * expected["probability"]
            expect(one.locator(".alert-expected")).to_contain_text(f"{expected['template']} {percent:.1f} %")
    for severity, count in found["counts"].items():
        expect(board.page.locator(f'[data-count="{severity}"]')).to_have_text(f"{count:,}")


def test_one_alert_whole(board: Board, room: Room) -> None:
    found = room.page(limit=200)["alerts"]
    item = next(one for one in found if len(one["alert"]["expected"]) == 3 and one["alert"]["before"])
    alert = item["alert"]
    board.page.fill("[name=session]", alert["session"])
    row(board, item["number"]).click()
    detail = board.page.locator(".alert-detail")
    expect(detail.locator("pre")).to_have_text(alert["lines"][0]["text"].rstrip())
    expect(detail.locator(".detail-expected li")).to_have_count(3)
    expect(detail.locator(".detail-before li")).to_have_count(len(alert["before"]) + 1)
    for text in (alert["reason"], alert["session"], alert["bundle"], alert["id"], alert["rule"]):
        expect(detail).to_contain_text(text)
    detail.get_by_role("button", name=EN["close"]).click()
    expect(detail).to_be_hidden()


def test_a_hostile_line_is_text(board: Board, room: Room) -> None:
    before = room.page(limit=1)["alerts"][0]["number"]
    room.odd(EVIL.encode() + b" \xff\xfe\xc0\xaf \\u0000 \\x1b &lt; " + b"W" * 8192, session=66)
    item = until(lambda: (one := room.page(limit=1)["alerts"][0])["number"] > before and one)
    line = row(board, item["number"]).locator(".alert-line")
    expect(line).to_contain_text("<script>window.ran=1</script><img src=x onerror='window.ran=2'>")
    expect(line).to_contain_text("<U+202E>gnp.exe\u241b[31m\u2407")
    row(board, item["number"]).click()
    text = board.page.locator(".alert-detail pre")
    expect(text).to_contain_text("</script>")
    expect(text).to_contain_text("\\u0000 \\x1b &lt; WWWW")
    assert "\u202e" not in board.page.evaluate("document.body.textContent")
    assert board.page.evaluate("typeof window.ran") == "undefined"
    assert board.page.locator("#panels script, #panels img").count() == 0
    assert board.overflow() == 0


def test_filters(board: Board, room: Room) -> None:
    found = room.page(limit=500)["alerts"]
    rows = board.page.locator(".alerts-list .alerts-said")
    everything = f"{room.page(limit=1)['kept']:,}"

    def says(count: int) -> None:
        expect(rows).to_contain_text(f"{count:,} of {everything}")

    board.page.select_option("[name=severity]", "high")
    says(sum(one["alert"]["severity"] in ("high", "critical") for one in found))
    board.page.select_option("[name=severity]", "")
    board.page.select_option("[name=detector]", "new_event")
    says(sum(one["alert"]["detector"] == "new_event" for one in found))
    board.page.select_option("[name=detector]", "")
    session = found[-1]["alert"]["session"]
    board.page.fill("[name=session]", session)
    says(sum(session in one["alert"]["session"] for one in found))
    board.page.fill("[name=session]", "")
    board.page.keyboard.press("Tab")
    board.page.keyboard.press("Escape")
    board.page.fill("[name=text]", "DISK")
    says(sum("disk" in json.dumps(one["alert"]).lower() for one in found))
    board.page.fill("[name=text]", "no such text anywhere")
    expect(board.page.locator(".alerts-list .empty")).to_have_text(EN["none_shown"])


def test_acknowledge_and_mute_by_clicking(board: Board, room: Room) -> None:
    top(board).click()
    number = int(top(board).get_attribute("data-number") or 0)
    detail = board.page.locator(".alert-detail")
    detail.get_by_role("button", name=EN["acknowledge"], exact=True).click()
    expect(detail).to_contain_text(EN["acknowledged"])
    assert room.plane.get(f"/alerts/{number}")["acknowledged"]
    detail.get_by_role("button", name=EN["mute_ask"]).click()
    board.page.get_by_label(EN["mute_28800"]).check()
    board.page.locator("dialog").get_by_role("button", name=EN["mute"], exact=True).click()
    expect(row(board, number).locator(".alert-marks")).to_have_text(
        f"{EN['state_done']} \u00b7 {EN['muted']}"
    )
    (mute,) = room.plane.get("/mutes")
    assert 28_000 < mute["seconds"] <= 28_800
    board.page.click("#detect-mutes")
    expect(board.page.locator(".mutes li")).to_have_count(1)
    board.page.locator(".mutes").get_by_role("button", name=EN["unmute"]).click()
    expect(board.page.locator(".mutes li")).to_have_count(0)
    expect(board.page.locator(".mutes-panel .empty")).to_have_text(EN["no_mutes"])
    assert room.plane.get("/mutes") == []


def test_acknowledge_and_mute_by_keyboard(board: Board, room: Room) -> None:
    keys = board.page.keyboard
    keys.press("j")
    keys.press("j")
    chosen = board.page.locator('.alert-row[aria-selected="true"]')
    expect(chosen).to_have_count(1)
    number = int(chosen.get_attribute("data-number") or 0)
    assert number == room.page(limit=2)["alerts"][1]["number"]
    keys.press("a")
    expect(chosen.locator(".alert-marks")).to_have_text(EN["state_done"])
    keys.press("Enter")
    expect(board.page.locator(".alert-detail")).to_be_visible()
    keys.press("m")
    expect(board.page.locator("dialog[open]")).to_be_visible()
    keys.press("ArrowDown")  # from an hour to eight
    keys.press("Enter")
    expect(board.page.locator("dialog")).to_have_count(0)
    expect(chosen.locator(".alert-marks")).to_contain_text(EN["muted"])
    view = room.plane.get(f"/alerts/{number}")
    assert (view["acknowledged"], view["muted"]) == (True, True)
    assert room.plane.get("/mutes")[0]["seconds"] > 7 * 3600
    keys.press("u")
    expect(chosen.locator(".alert-marks")).to_have_text(EN["state_done"])
    keys.press("Escape")
    expect(board.page.locator(".alert-detail")).to_be_hidden()
    keys.press("ArrowUp")
    expect(row(board, number)).to_have_attribute("aria-selected", "false")
    keys.press("/")
    assert board.page.evaluate("document.activeElement.name") == "text"


def test_the_list_holds_still_while_paused(board: Board, room: Room) -> None:
    board.page.keyboard.press("p")
    pause = board.page.get_by_role("button", name=EN["resume"])
    expect(pause).to_have_attribute("aria-pressed", "true")
    first = top(board).get_attribute("data-number")
    room.flood(3)
    fresh = board.page.locator(".alerts-fresh")
    expect(fresh).to_have_text(EN["fresh"]["other"].replace("{n}", "3"))
    assert top(board).get_attribute("data-number") == first
    fresh.click()
    expect(top(board)).to_have_attribute("data-number", str(int(first or 0) + 3))


def test_templates_as_the_api_has_them(board: Board, room: Room) -> None:
    board.page.click("#detect-templates")
    path = f"/detectors/{room.job}/templates"
    room.settled()
    before = room.plane.get(path)["lines"]
    draw = random.Random(5)
    room.write([log_line(room.at_s + 5 + n, 500, fill(ORDER[n % 3], draw)) for n in range(30)])
    found = until(lambda: (page := room.plane.get(path))["lines"] == before + 30 and page)
    for one in found["templates"]:
        key = "unseen" if one["log_key"] is None else one["log_key"]
        line = board.page.locator(f'.template-row[data-key="{key}"]')
        expect(line.locator(".of-count")).to_have_text(f"{one['count']:,}")
        if one["log_key"] is not None:
            expect(line.locator(".template-text")).to_have_text(one["template"])
        if one["example"] and one["example"].isprintable():
            expect(line.locator(".template-example")).to_have_text(one["example"])
    board.page.fill(".templates [name=query]", "BLOCK")
    expect(board.page.locator(".template-row[data-key]")).to_have_count(
        room.plane.get(path, query="BLOCK")["total"]
    )
    board.page.fill(".templates [name=query]", "no such template")
    expect(board.page.locator(".templates .empty")).to_have_text(EN["templates_no_match"])


def test_a_detector_started_and_stopped_by_clicking(open_board: Open, room: Room) -> None:
    board = shown(open_board(path="/#detect", expected=("422",)))
    page = board.page
    page.click('[data-act="start"]')
    dialog = page.locator("dialog")
    dialog.locator("[name=bundle]").fill("/etc/passwd")
    dialog.locator("[name=sources]").fill(str(room.log))
    dialog.get_by_role("button", name=EN["start"], exact=True).click()
    expect(dialog.locator(".wrong")).to_contain_text("is no file in the folders")
    dialog.locator("[name=bundle]").fill(str(room.bundle))
    dialog.get_by_role("button", name=EN["start"], exact=True).click()
    expect(dialog).to_have_count(0)
    job = room.plane.get("/detectors")[-1]
    assert (job["settings"]["sources"], job["settings"]["follow"]) == ([str(room.log)], True)
    engine = page.locator(f'[data-detector="{job["id"]}"]')
    expect(engine.locator(".badge")).to_have_text(EN["job_running"])
    expect(engine.locator(".engine-name")).to_have_attribute("aria-pressed", "true")
    engine.locator('[data-act="stop"]').click()
    page.locator("dialog").get_by_role("button", name=EN["stop"], exact=True).click()
    expect(engine).to_have_attribute("data-state", "done")
    lines = room.plane.get(f"/detectors/{job['id']}")["result"]["alerts"]
    expect(engine.locator('[data-figure="alerts"]')).to_have_text(f"{lines:,}")
    engine.locator('[data-act="forget"]').click()
    expect(engine).to_have_count(0)


def test_another_bundle_while_it_runs(open_board: Open, room: Room) -> None:
    board = shown(open_board(path="/#detect", expected=("409", "422")))
    before = room.settled()
    other = make_bundle(room.log.parent / "others", created="2026-02-02T00:00:00Z").path
    engine = board.page.locator(f'[data-detector="{room.job}"]')
    engine.locator('[data-act="swap"]').click()
    dialog = board.page.locator("dialog")
    swap = dialog.get_by_role("button", name=EN["swap"], exact=True)
    for wrong, complaint in (("/etc", "is no file in the folders"), (room.log.name, room.log.name)):
        dialog.locator("[name=bundle]").fill(wrong)
        swap.click()
        expect(dialog.locator(".wrong")).to_contain_text(complaint)
    dialog.locator("[name=bundle]").fill(str(other))
    swap.click()
    expect(dialog).to_have_count(0)
    number = room.page(limit=1)["alerts"][0]["number"]
    room.odd("a line that the other bundle judges", session=77)
    item = until(lambda: (one := room.page(limit=1)["alerts"][0])["number"] > number and one)
    assert other.name.startswith(item["alert"]["bundle"]) or item["alert"]["bundle"] in str(other)
    after = room.settled()
    assert after["settings"]["bundle"] == str(other)
    counted = after["metrics"]["counters"]
    assert counted["lines"] == before["metrics"]["counters"]["lines"] + 1
    assert counted["bundle_loads"] == before["metrics"]["counters"]["bundle_loads"] + 1
    (event,) = [
        one for one in room.plane.get("/events", kind="operator")["events"] if one["action"] == "bundle"
    ]
    assert event["data"]["after"] == str(other)


def test_ten_thousand_alerts(board: Board, room: Room) -> None:
    room.flood(MANY)
    room.settled()
    page = room.page(limit=1)
    assert page["kept"] == MANY
    newest = page["alerts"][0]["number"]
    expect(board.page.locator(".alerts-list .alerts-said")).to_contain_text(f"{MANY:,} alerts \u00b7")
    expect(top(board)).to_have_attribute("data-number", str(newest))
    count = "document.querySelectorAll('.alert-row').length"
    nodes = "document.querySelectorAll('*').length"
    most_rows = most_nodes = 0
    board.page.focus(".alerts-rows")
    for key in ("End", "PageUp", "Home", *["PageDown"] * 10, "End"):
        board.page.keyboard.press(key)
        board.until("document.querySelectorAll('.alert-row[aria-selected=\"true\"]').length === 1")
        most_rows = max(most_rows, board.page.evaluate(count))
        most_nodes = max(most_nodes, board.page.evaluate(nodes))
    assert most_rows <= 40
    assert most_nodes < 1500
    expect(row(board, newest - MANY + 1)).to_have_attribute("aria-selected", "true")
    board.page.fill("[name=text]", "line 77 of a flood")
    expect(board.page.locator(".alert-row")).to_have_count(1)


@pytest.mark.parametrize("language", ["en-US", "ko-KR"])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_nothing_is_wider_than_its_window(open_board: Open, room: Room, language: str, scheme: str) -> None:
    for size in (PHONE, WIDE):
        board = shown(open_board(path="/#detect", viewport=size, locale=language, color_scheme=scheme))
        assert board.overflow() == 0
        top(board).click()
        expect(board.page.locator(".alert-detail")).to_be_visible()
        assert board.overflow() == 0
        board.page.keyboard.press("Escape")
        for view in ("templates", "mutes", "alerts"):
            board.page.click(f"#detect-{view}")
            expect(board.page.locator(f"#detect-panel-{view}")).to_be_visible()
            assert board.overflow() == 0


def test_what_to_do_is_said_where_nothing_runs(open_board: Open, tmp_path: Path) -> None:
    with serving(tmp_path) as other:
        board = open_board(path="/#detect", url=other.url)
        expect(board.page.locator(".engines-card .empty")).to_contain_text(EN["no_detectors_hint"])
        expect(board.page.locator(".alerts-list .empty")).to_have_text(EN["no_alerts"])
        board.page.click("#detect-templates")
        expect(board.page.locator(".templates .empty")).to_have_text(EN["templates_none"])
