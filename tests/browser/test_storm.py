"""The Storm tab: what it shows is what the API says, and what is clicked is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NARROW, WIDE, Board, Open
from tests.integration.serve_room import Serving, until
from tests.integration.sink_room import free_ports

WORDS = Path(__file__).resolve().parents[2] / "src" / "haechi" / "page" / "words"
STREAMS = 40
EPS = 4000
NOTHING = "\N{EN DASH}"


def words(language: str = "en") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((WORDS / language / "storm.json").read_text())
    return found


@pytest.fixture(scope="module")
def storm(plane: Serving) -> Iterator[str]:
    """Forty streams to a sink, of this server both; and a storm that has ended."""
    ports = ",".join(map(str, free_ports(STREAMS)))
    plane.post("/sinks", {"ports": ports})
    wish = {"target": "127.0.0.1", "ports": ports, "account": True, "workers": 1}
    short = plane.post("/storms", {**wish, "eps": 2000, "count": 4000})["id"]
    until(lambda: plane.get(f"/storms/{short}")["state"] == "done")
    name: str = plane.post("/storms", {**wish, "eps": EPS})["id"]
    until(lambda: plane.get(f"/storms/{name}")["metrics"].get("packet_loss_percent") is not None)
    yield name
    plane.post(f"/storms/{name}/stop", status=200)


def ended(plane: Serving) -> dict[str, Any]:
    found: dict[str, Any] = next(job for job in plane.get("/storms") if job["state"] == "done")
    whole: dict[str, Any] = plane.get(f"/storms/{found['id']}")
    return whole


def number(text: str) -> float:
    """What fmt.rate writes: 4.00 k -> 4000; nought where there is nothing yet."""
    if text.strip() == NOTHING:
        return 0
    figure, _, sign = text.replace(",", "").removesuffix("/s").strip().partition(" ")
    return float(figure) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[sign]


def test_what_runs_is_shown_as_the_api_says(open_board: Open, plane: Serving, storm: str) -> None:
    board = open_board(f"/#storm/{storm}")
    expect(board.page.locator("h2", has_text=storm)).to_be_visible()
    expect(board.page.locator(".worker")).to_have_count(STREAMS)
    job = plane.get(f"/storms/{storm}")
    expect(board.page.locator(".bar-facts")).to_contain_text(job["settings"]["ports"])
    expect(board.page.locator(".bar-facts .state")).to_have_text(words()["state.running"])
    ports = [int(text.removeprefix(":")) for text in board.page.locator(".worker-port").all_inner_texts()]
    assert ports == [worker["port"] for worker in job["metrics"]["worker_metrics"]]
    until(lambda: number(board.text("#figure-rate")) == pytest.approx(EPS, rel=0.5))
    told = board.text("#figure-events")
    events = plane.get(f"/storms/{storm}")["metrics"]["total_events"]
    assert number(told) <= events * 1.01  # shown a moment before
    assert number(told) > events - 20 * EPS

    def peaks_agree() -> bool:  # a first moment's is soon another
        kpis = next(one for one in plane.get("/kpis")["storms"] if one["id"] == storm)
        shown = number(board.text('[data-kpi="peak_eps"]'))
        return bool(shown == pytest.approx(kpis["peak_eps"], rel=0.5))

    until(peaks_agree)


def test_the_figures_of_one_that_has_ended_are_the_apis(open_board: Open, plane: Serving, storm: str) -> None:
    job = ended(plane)
    metrics = job["metrics"]
    board = open_board(f"/#storm/{job['id']}")
    expect(board.page.locator("#figure-events")).to_have_attribute("title", f"{metrics['total_events']:,}")
    expect(board.page.locator(".worker")).to_have_count(STREAMS)
    sent = [int(title.split(" events sent")[0].split("\n")[-1].replace(",", "")) for title in titles(board)]
    assert sent == [worker["total_sent"] for worker in metrics["worker_metrics"]]
    expect(board.page.locator("#figure-loss")).to_have_text(f"{metrics['packet_loss_percent']:.0f} %")
    row = board.page.locator(f'#runs tr[data-storm="{job["id"]}"]')
    expect(row).to_contain_text(words()["state.done"])
    kpis = next(one for one in plane.get("/kpis")["storms"] if one["id"] == job["id"])
    expect(row.locator(".run-grade")).to_have_text(kpis["grade"] or NOTHING)
    expect(board.page.locator("#grade")).to_have_text(kpis["grade"] or NOTHING)


def titles(board: Board) -> list[str]:
    found: list[str] = board.page.eval_on_selector_all(".worker", "tiles => tiles.map((tile) => tile.title)")
    return found


def test_plots_are_drawn_with_what_was_before_the_page(open_board: Open, plane: Serving, storm: str) -> None:
    history = until(lambda: rows if len(rows := plane.get(f"/storms/{storm}/history")["rows"]) > 3 else None)
    board = open_board(f"/#storm/{storm}")
    shown = """() => {
        const plot = document.querySelector('[data-plot="rate"] .js-plotly-plot');
        return plot?.data ? plot.data[0].x.length : 0;
    }"""
    assert board.until(shown) >= len(history)
    expect(board.page.locator('[data-plot="latency"] b').first).not_to_have_text(NOTHING)
    board.page.set_viewport_size(NARROW)
    board.until(
        """() => {
            const plot = document.querySelector('[data-plot="rate"] .plot-canvas');
            return plot._fullLayout.width === plot.clientWidth;
        }"""
    )
    ended_one = ended(plane)["id"]
    board.page.set_viewport_size(WIDE)
    board.page.locator(f'#runs tr[data-storm="{ended_one}"] .link').click()
    board.page.evaluate("scrollTo(0, 0)")
    rows = plane.get(f"/storms/{ended_one}/history")["rows"]
    drawn = """[...document.querySelector('[data-plot="rate"] .js-plotly-plot').data[0].x]"""
    until(lambda: board.page.evaluate(drawn) == [row[0] for row in rows])


def test_a_storm_by_clicking(open_board: Open, plane: Serving, storm: str) -> None:
    """Begun with a sink of its own, its rate changed, paused, resumed, stopped, run again, forgotten."""
    board = open_board()
    page = board.page
    ports = ",".join(map(str, free_ports(2)))
    page.click("#start-storm")
    page.fill("#storm-form-ports", ports)
    page.fill("#storm-form-eps", "500")
    page.select_option("#storm-form-profile", "web")
    page.check("#with-sink")
    page.click("dialog .primary")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(".worker")).to_have_count(2)
    name = board.text(".bar-facts h2")
    job = plane.get(f"/storms/{name}")
    assert (job["settings"]["eps"], job["settings"]["ports"]) == (500, ports)
    assert job["settings"]["profile"].endswith("web") and job["settings"]["account"]
    assert [sink["settings"]["ports"] for sink in plane.get("/sinks")].count(ports) == 1

    page.fill("#rate", "2k")
    page.click("#set-rate")
    until(lambda: plane.get(f"/storms/{name}")["settings"]["eps"] == 2000)
    expect(page.locator('[data-figure="rate"] .under')).to_contain_text("2.00 k/s")

    page.click("#pause")
    expect(page.locator(".bar-facts .state")).to_have_text(words()["state.paused"])
    assert plane.get(f"/storms/{name}")["state"] == "paused"
    expect(page.locator('.worker[data-status="stopped"]')).to_have_count(2)
    expect(page.locator(".worker-word").first).to_have_text(words()["status.stopped"])
    page.click("#pause")
    expect(page.locator(".bar-facts .state")).to_have_text(words()["state.running"])

    page.click("#stop")
    page.click('dialog button[value="no"]')
    assert plane.get(f"/storms/{name}")["state"] == "running"
    page.click("#stop")
    page.click('dialog button[value="yes"]')
    row = page.locator(f'#runs tr[data-storm="{name}"]')
    expect(row).to_be_visible()
    job = plane.get(f"/storms/{name}")
    assert job["state"] == "done" and job["result"]["events"] == job["metrics"]["total_events"]
    expect(page.locator("#figure-events")).to_have_attribute("title", f"{job['metrics']['total_events']:,}")

    page.click("#again")
    assert page.input_value("#storm-form-ports") == ports
    assert page.input_value("#storm-form-profile").endswith("web")
    page.keyboard.press("Escape")
    page.click("#forget")
    expect(row).to_have_count(0)
    assert plane.client.get(f"/storms/{name}").status_code == 404


def test_a_storm_with_the_keyboard_alone(open_board: Open, plane: Serving, storm: str) -> None:
    board = open_board()
    board.live()
    page = board.page
    expect(page.locator(".worker")).to_have_count(STREAMS)
    (port,) = free_ports(1)
    page.keyboard.press("n")
    expect(page.locator("#storm-form-eps")).to_be_focused()
    page.keyboard.type("300")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type(str(port))
    page.keyboard.press("Enter")
    expect(page.locator(".worker")).to_have_count(1)
    name = board.text(".bar-facts h2")
    page.keyboard.press("r")
    expect(page.locator("#rate")).to_be_focused()
    page.keyboard.type("400")
    page.keyboard.press("Enter")
    until(lambda: plane.get(f"/storms/{name}")["settings"]["eps"] == 400)
    page.locator("#rate").blur()
    page.keyboard.press("p")
    until(lambda: plane.get(f"/storms/{name}")["state"] == "paused")
    expect(page.locator("#pause")).to_have_text(words()["resume"])
    page.keyboard.press("[")
    expect(page.locator(".bar-facts h2")).not_to_have_text(name)
    page.keyboard.press("]")
    expect(page.locator(".bar-facts h2")).to_have_text(name)
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    until(lambda: plane.get(f"/storms/{name}")["state"] == "done")


def test_what_the_server_refuses_stands_in_the_form(open_board: Open, plane: Serving, storm: str) -> None:
    board = open_board(expected=("422",))
    before = len(plane.get("/storms"))
    board.page.click("#start-storm")
    board.page.fill("#storm-form-target", "198.51.100.7")
    board.page.click("dialog .primary")
    wrong = board.page.locator("dialog .wrong")
    expect(wrong).to_contain_text("198.51.100.7")
    wish = {"target": "198.51.100.7", "ports": "5514-5553", "eps": "100k"}
    assert wrong.inner_text() == plane.client.post("/storms", json=wish).json()["detail"]
    assert len(plane.get("/storms")) == before


def test_a_sink_is_started_and_stopped(open_board: Open, plane: Serving, storm: str) -> None:
    board = open_board()
    (port,) = free_ports(1)
    board.page.click("#start-sink")
    board.page.fill("#sink-form-ports", str(port))
    board.page.click("dialog .primary")
    row = board.page.locator("#sinks tr", has_text=str(port))
    expect(row).to_be_visible()
    name = row.get_attribute("data-sink")
    assert plane.get(f"/sinks/{name}")["settings"]["ports"] == str(port)
    row.locator("button:visible").click()
    expect(row).to_contain_text(words()["state.done"])
    assert plane.get(f"/sinks/{name}")["state"] == "done"


@pytest.mark.parametrize("language", ["en-US", "ko-KR"])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_forty_workers_fit_every_width(
    open_board: Open, storm: str, language: str, scheme: str, tmp_path: Path
) -> None:
    for size in ({"width": 360, "height": 740}, NARROW, WIDE):
        board = open_board(f"/#storm/{storm}", viewport=size, locale=language, color_scheme=scheme)
        expect(board.page.locator(".worker")).to_have_count(STREAMS)
        board.live()
        board.page.screenshot(path=tmp_path / f"{size['width']}-{scheme}.png", full_page=True)
        assert board.overflow() == 0
        cut = board.page.evaluate(
            """() => [...document.querySelectorAll(".figure, .worker b, .kpi-list dd, .button")]
                .filter((node) => node.offsetParent && node.getBoundingClientRect().right > innerWidth)
                .filter((node) => !node.closest(".table-wrap")).map((node) => node.textContent)"""
        )
        assert cut == []
