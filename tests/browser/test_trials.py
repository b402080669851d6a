"""The Trials tab: scenarios looked at and written, one run by clicking, its report, two of them compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import WIDE, Board, Open
from tests.integration.serve_room import Serving, serving, until

WORDS = Path(__file__).resolve().parents[2] / "src" / "haechi" / "page" / "words"
EN: dict[str, Any] = json.loads((WORDS / "en" / "trials.json").read_text())
PHONE = {"width": 360, "height": 740}
RUN_MS = 60_000
LONG = """for (const cell of document.querySelectorAll(".compare-table td:not(:first-child)")) {
    cell.textContent = `${cell.matches(".num") ? "" : "\u25bc worse by"} 1,234,567,890.12 %`;
}"""
SMALL = """name: small
description: <script>window.ran=1</script> two stages
target: {kind: sink, ports: 2 free}
storm: {workers: 1}
steps:
  - {name: calm, rate: 1k, duration: 2s, criteria: [loss_ratio < 0.5]}
  - {name: climb, pattern: ramp, from: 1k, to: 3k, duration: 2s, criteria: [achieved_ratio > 0.1]}
criteria: [errors < 1M, sent > 1G]
"""


def ended(plane: Serving, trial: str) -> dict[str, Any]:
    def over() -> Any:
        one = plane.get(f"/trials/{trial}")
        return one["state"] not in ("running", "stopping") and one

    found: dict[str, Any] = until(over, RUN_MS / 1000)
    return found


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """With a small scenario, and a run of it that has ended."""
    with serving(tmp_path_factory.mktemp("trials"), requests_per_second=2000) as running:
        assert running.client.put("/scenarios/small", json={"text": SMALL}).status_code == 200
        first = running.post("/trials", {"scenario": "small", "scale_time": 0.5, "scale_rate": 0.5})
        assert ended(running, first["id"])["state"] == "done"
        yield running


@pytest.fixture
def board(open_board: Open) -> Board:
    return shown(open_board(path="/#trials"))


def shown(board: Board) -> Board:
    board.live()
    board.page.wait_for_selector(".scenario-item")
    return board


def test_scenarios_as_the_api_has_them(board: Board, plane: Serving) -> None:
    scenarios = plane.get("/scenarios")
    items = board.page.locator(".scenario-item b")
    expect(items).to_have_text([one["name"] for one in scenarios])
    assert board.page.locator(".scenario-item svg path.shape-line").count() == sum(
        not one["search"] for one in scenarios
    )
    for one in scenarios:
        board.page.click(f'[data-scenario="{one["name"]}"]')
        view = plane.get(f"/scenarios/{one['name']}")
        expect(board.page.locator(".scenario h3")).to_have_text(view["name"])
        rows = board.page.locator(".scenario-steps tbody tr")
        expect(rows).to_have_count(len(view["steps"]))
        for row, step in zip(rows.all(), view["steps"], strict=True):
            expect(row.locator("b")).to_have_text(step["name"])
            expect(row.locator("code")).to_have_text(step["criteria"])
        expect(board.page.locator(".scenario-whole code")).to_have_text(view["criteria"])
    assert board.page.evaluate("typeof window.ran") == "undefined"


@pytest.mark.parametrize(
    ("words", "points"),
    [
        ("4,000 events/s", [[0, 4000], [10, 4000]]),
        ("1,000 to 1,000,000 events/s", [[0, 1000], [10, 1_000_000]]),
        (
            "500 events/s, 2,000 for 1.5 s of every 5 s",
            [[0, 500], [3.5, 500], [3.5, 2000], [5, 2000], [5, 500], [8.5, 500], [8.5, 2000], [10, 2000]],
        ),
    ],
)
def test_the_drawing_of_a_step(board: Board, words: str, points: list[list[float]]) -> None:
    step = {"name": "one", "duration_s": 10, "eps_highest": 4000, "words": words}
    script = "([url, step]) => import(url).then((module) => module.stepCurve(step))"
    assert board.page.evaluate(script, ["/page/tabs/trials_shape.js", step]) == points


def test_the_drawing_of_a_wave(board: Board) -> None:
    step = {
        "name": "one",
        "duration_s": 10,
        "eps_highest": 900,
        "words": "700 +- 200 events/s, period 10 s",
    }
    script = "([url, step]) => import(url).then((module) => module.stepCurve(step))"
    points = board.page.evaluate(script, ["/page/tabs/trials_shape.js", step])
    rates = [eps for _, eps in points]
    assert (max(rates), min(rates), points[-1][0]) == (pytest.approx(900), pytest.approx(500), 10)


def test_a_scenario_refused_kept_and_deleted(open_board: Open, plane: Serving) -> None:
    board = shown(open_board(path="/#trials", expected=("422", "409")))
    page = board.page
    page.click('[data-act="new"]')
    dialog = page.locator("dialog")
    dialog.locator("[name=name]").fill("mine")
    dialog.locator("[name=text]").fill("name: mine\nsteps: [{rate: <b>fast</b>, duration: 1s}]\n")
    keep = dialog.get_by_role("button", name=EN["keep"], exact=True)
    keep.click()
    expect(dialog.locator(".wrong")).to_contain_text("<b>fast</b>")
    assert dialog.locator(".wrong b").count() == 0
    dialog.locator("input[type=file]").set_input_files(
        {"name": "Uploaded.yaml", "mimeType": "text/yaml", "buffer": SMALL.encode()}
    )
    expect(dialog.locator("[name=name]")).to_have_value("uploaded")
    expect(dialog.locator("[name=text]")).to_have_value(SMALL)
    keep.click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".scenario h3")).to_have_text("uploaded")
    assert plane.get("/scenarios/uploaded")["text"] == SMALL
    page.click('[data-act="delete"]')
    page.locator("dialog").get_by_role("button", name=EN["delete"]).click()
    expect(page.locator('[data-scenario="uploaded"]')).to_have_count(0)
    page.click('[data-scenario="burst"]')
    expect(page.locator('[data-act="delete"]')).to_have_count(0)
    page.click('[data-act="yaml"]')
    expect(page.locator("dialog [name=text]")).to_have_value(plane.get("/scenarios/burst")["text"])
    expect(page.locator("dialog [name=name]")).to_have_value("my-burst")


def test_a_trial_from_a_click_to_its_report(board: Board, plane: Serving) -> None:
    page = board.page
    page.click('[data-scenario="small"]')
    page.fill("[name=scale_time]", "3")
    page.fill("[name=scale_rate]", "1")
    page.click('.scenario [data-act="start"]')
    run = page.locator(".run")
    expect(run).to_be_visible()
    trial = plane.get("/trials")[0]
    assert (trial["scenario"], trial["scale_time"], trial["scale_rate"]) == ("small", 3.0, 1.0)
    expect(run).to_contain_text(trial["id"])
    expect(page.locator('.scenario [data-act="start"]')).to_be_disabled()
    expect(run.locator('[data-step="0"] li')).to_have_attribute("data-state", "met", timeout=RUN_MS)
    expect(run.locator(".stages li").first).to_have_attribute("data-state", "done")
    assert page.evaluate("document.querySelectorAll('.run .chart-line.of-a')[0].getAttribute('d')")
    row = page.locator(f'[data-trial="{trial["id"]}"]')
    expect(row).to_be_visible(timeout=RUN_MS)
    expect(run).to_be_hidden()
    done = ended(plane, trial["id"])
    # `sent > 1G` is not met by such a storm.
    assert (done["state"], done["passed"], done["exit_code"]) == ("done", False, 99)
    expect(row.locator(".badge")).to_have_text(EN["result.missed"])
    expect(row.locator('[data-cell="grade"]')).to_have_text(done["grade"] or "\u2013")
    row.locator(".link").click()
    report = plane.get(f"/trials/{trial['id']}/report.json")
    expect(page.locator('[data-of="account"]')).to_contain_text(f"{report['account']['sent']:,}")
    expect(page.locator('[data-tile="grade"] dd')).to_have_text(report["grade"]["letter"] or "\u2013")
    verdicts = page.locator(".report-summary .criteria li")
    states = {"met": "met", "missed": "failed"}
    for line, criterion in zip(verdicts.all(), report["criteria"], strict=True):
        expect(line.locator("code")).to_have_text(criterion["text"])
        expect(line).to_have_attribute("data-state", states[criterion["verdict"]])
    expect(page.locator(".steps-table tbody tr")).to_have_count(2)
    expect(page.locator(".report .chart")).not_to_have_count(0)
    for advice in report["recommendations"]:
        expect(page.locator(".advice")).to_contain_text(advice["text"])
    for kind in ("html", "json", "md"):
        with page.expect_download() as download:
            page.locator(".downloads a", has_text=kind.upper()).click()
        assert download.value.suggested_filename == f"{trial['id']}.{kind}"
        assert (
            Path(download.value.path()).read_bytes()
            == plane.client.get(f"/trials/{trial['id']}/report.{kind}").content
        )
    page.click('[data-act="back"]')
    expect(page.locator(".scenario-item").first).to_be_visible()


def test_two_runs_compared(board: Board, plane: Serving) -> None:
    while len(plane.get("/trials")) < 2:
        ended(plane, plane.post("/trials", {"scenario": "small", "scale_time": 0.5})["id"])
    b, a = [trial["id"] for trial in plane.get("/trials")[:2]]
    page = board.page
    compare = page.locator('[data-act="compare"]')
    expect(compare).to_be_disabled()
    for one in (b, a):
        page.locator(f'[data-trial="{one}"] input').check()
    compare.click()
    assert page.evaluate("location.hash") == f"#trials/{a}/{b}"
    page.wait_for_selector(".compare-said")
    page.locator(".compare-said input").uncheck()
    rows = plane.get(f"/trials/{a}/diff/{b}")["rows"]
    expect(page.locator("[data-verdict]")).to_have_count(len(rows))
    counts = dict.fromkeys(("better", "worse", "same", "unknown"), 0)
    for row in rows:
        change = row["change"]
        near = change is not None and abs(change) < 0.005
        of = "unknown" if change is None else "same" if near else "worse" if change > 0 else "better"
        counts[of] += 1
    for of, count in counts.items():
        expect(page.locator(f'[data-verdict="{of}"]')).to_have_count(count)
    expect(page.locator(".compare-said")).to_contain_text(EN["n_worse"].replace("{n}", str(counts["worse"])))
    page.go_back()
    expect(page.locator(".past-table")).to_be_visible()


def test_a_run_stopped_by_clicking_leaves_a_report(board: Board, plane: Serving) -> None:
    page = board.page
    page.click('[data-scenario="small"]')
    page.fill("[name=scale_time]", "20")
    page.fill("[name=scale_rate]", "1")
    page.keyboard.press("Enter")
    expect(page.locator(".run-time")).to_contain_text("1:20")
    trial = plane.get("/trials")[0]["id"]
    until(lambda: plane.get(f"/trials/{trial}")["progress"].get("samples"))
    page.click('[data-act="stop-trial"]')
    page.locator("dialog").get_by_role("button", name=EN["stop"], exact=True).click()
    row = page.locator(f'[data-trial="{trial}"]')
    expect(row.locator(".badge")).to_have_text(EN["state.interrupted"], timeout=RUN_MS)
    row.locator(".link").click()
    expect(page.locator(".report-summary .badge").first).to_have_text(EN["report.interrupted"])
    page.click('[data-act="back"]')
    row.locator('[data-cell="acts"] button').click()
    page.locator("dialog").get_by_role("button", name=EN["delete"]).click()
    expect(row).to_have_count(0)
    assert plane.client.get(f"/trials/{trial}").status_code == 404


@pytest.mark.parametrize("language", ["en-US", "ko-KR"])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_nothing_is_wider_than_its_window(
    open_board: Open, plane: Serving, language: str, scheme: str
) -> None:
    while len(plane.get("/trials")) < 2:
        ended(plane, plane.post("/trials", {"scenario": "small", "scale_time": 0.25})["id"])
    last, *_, first = [trial["id"] for trial in plane.get("/trials")]
    for size in (PHONE, WIDE):
        settings: dict[str, Any] = {"viewport": size, "locale": language, "color_scheme": scheme}
        board = shown(open_board(path="/#trials", **settings))
        board.page.wait_for_selector(".past-table tbody tr")
        for name in ("small", "ndr", "gradual"):
            board.page.click(f'[data-scenario="{name}"]')
            assert board.overflow() == 0, name
        for place, sign in ((first, ".report-tiles"), (f"{first}/{last}", ".compare-table [data-verdict]")):
            board.page.goto(f"{plane.url}/#trials/{place}")
            board.page.wait_for_selector(sign)
            assert board.overflow() == 0, place
        board.page.evaluate(LONG)
        assert board.overflow() == 0, "with figures that could not be longer"


def test_what_cannot_be_found_is_said(open_board: Open, tmp_path: Path) -> None:
    with serving(tmp_path) as other:
        board = open_board(path="/#trials/trial-9", url=other.url, expected=("404",))
        expect(board.page.locator(".report .wrong")).to_contain_text("there is no trial trial-9")
        board.page.click('[data-act="back"]')
        expect(board.page.locator(".past .empty")).to_contain_text(EN["no_past_hint"])
