"""Reports of runs written by hand: valid by the schema, safe to look at, compared."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from haechi.trial import markdown, page
from haechi.trial.criteria import parse
from haechi.trial.difference import BETTER, changes
from haechi.trial.figures import Sample
from haechi.trial.patterns import Steady
from haechi.trial.plots import Line, plot
from haechi.trial.recommend import recommendations
from haechi.trial.report import POINTS_MAX, Setting, document, of_search
from haechi.trial.runner import Run, StepRun
from haechi.trial.scenario import AnomaliesSection, Scenario, Step
from haechi.trial.score import score
from haechi.trial.target import Ending
from haechi.trial.writing import ReportError, read_report, write_reports
from tests.conftest import Ran
from tests.unit.test_trial_kpi import GOOD, LOSSY, NOTHING, samples

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())
HOSTILE = '<script>alert(1)</script><img src="http://192.0.2.1/x"> | `a` [b](javascript:c)'


def valid(report: dict[str, Any]) -> dict[str, Any]:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(report, allow_nan=False)))
    return report


def step(name: str, *criteria: str) -> Step:
    return Step(
        name, "1,000 events/s", 4.0, Steady(1000), AnomaliesSection(), tuple(parse(text) for text in criteria)
    )


def setting(name: str = "made", *criteria: str, search: bool = False) -> Setting:
    what = {"search": {"to": 90_000}} if search else {"steps": [{"rate": 1000, "duration": 4}]}
    return Setting(
        scenario=Scenario.model_validate({"name": name, "description": name, **what}),
        criteria=[parse(text) for text in criteria],
        scale_time=1.0,
        scale_rate=1.0,
        target_words="haechi-sink on 127.0.0.1",
        ports="20000-20003",
        host={"processor": name, "cores": 4, "memory_gb": 8.0},
        processors=4,
    )


def run(found: Sequence[Sample], *steps: Step, lost: int = 0, **changes: Any) -> Run:
    """The first step has all samples, the others were not reached."""
    first, *rest = steps or (step("one"),)
    sent = found[-1].sent
    return Run(
        began=datetime(2026, 1, 1, tzinfo=UTC),
        steps=[StepRun(first, tuple(found), None, True), *(StepRun(other) for other in rest)],
        **{
            "ending": Ending(sent - lost, lost, lost, 0, True, {"p99": 0.002, "max": 0.1}),
            **changes,
        },
    )


@pytest.mark.parametrize(
    ("criteria", "changed", "state"),
    [
        ([], {}, "met"),
        (["loss_ratio < 0.1", "latency_p99 < 5ms"], {}, "met"),
        (["loss_ratio == 0"], {}, "missed"),
        (["latency_p50 < 5ms"], {}, "missed"),  # not known
        (["loss_ratio == 0"], {"interrupted": True}, "interrupted"),
        ([], {"failure": "the sink ended", "ending": None}, "failed"),
    ],
)
def test_states(criteria: list[str], changed: dict[str, Any], state: str) -> None:
    report = valid(document(setting("made", *criteria), run(samples(GOOD, LOSSY), lost=100, **changed), None))
    assert report["state"] == state
    assert report["account"]["lost"] == 100
    assert report["seconds"] == 2
    page.render(report)
    markdown.render(report)


def test_a_step_that_was_not_reached_says_so() -> None:
    wanted = step("two", "cpu < 1")
    made = run(samples(GOOD), step("one", "cpu < 1", "lost < 1"), wanted, interrupted=True)
    report = valid(document(setting(), made, None))
    assert [c["verdict"] for s in report["steps"] for c in s["criteria"]] == ["met", "met", "not_reached"]
    assert [s["reached"] for s in report["steps"]] == [True, False]
    assert "not reached" in page.render(report)


def test_a_run_that_saw_nothing_is_still_a_report() -> None:
    empty = Run(datetime(2026, 1, 1, tzinfo=UTC), [StepRun(step("one", "cpu < 1"))], failure="no storm")
    report = valid(document(setting("made", "lost < 1"), empty, None))
    assert report["state"] == "failed"
    assert report["recommendations"] == []
    assert "no storm" in page.render(report)
    assert "no storm" in markdown.render(report)


def test_a_long_run_is_merged_and_adds_up() -> None:
    found = samples(*([GOOD, LOSSY] * POINTS_MAX))
    series = valid(document(setting(), run(found, lost=found[-1].lost or 0), None))["series"]
    assert len({len(column) for column in series.values()}) == 1
    assert len(series["at_s"]) <= POINTS_MAX
    assert series["loss_ratio"][0] == pytest.approx(0.05)
    assert series["at_s"][-1] == found[-1].at_s


def test_infinity_is_not_json() -> None:
    endless = {"p99": math.inf}
    made = run(samples(GOOD), ending=Ending(1000, 0, 0, 0, True, endless))
    report = valid(document(setting("x", "latency_p99 < 5s"), made, None))
    assert report["criteria"][0]["verdict"] == "missed"
    assert report["criteria"][0]["value"] is None
    assert not any(isinstance(v, float) and math.isinf(v) for v in report["figures"].values())


class Seen(HTMLParser):
    """Tags and what they point to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href", "action", "srcset")]
        assert not any(key.startswith("on") for key, _ in attrs)


def test_the_page_is_alone_and_what_came_from_outside_is_text() -> None:
    report = document(setting(HOSTILE), run(samples(GOOD, LOSSY), step(HOSTILE), failure=HOSTILE), None)
    text = page.render(valid(report))
    seen = Seen()
    seen.feed(text)
    assert not seen.tags & {"script", "img", "link", "iframe", "object", "form", "a"}
    assert seen.links == []
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert text.count("&lt;script&gt;") >= 4
    assert "<svg" in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_markdown_takes_nothing_for_markup() -> None:
    report = document(setting(HOSTILE), run(samples(GOOD), step(HOSTILE, "cpu < 1")), None)
    text = markdown.render(report)
    assert "<script>" not in text
    assert re.search(r"(?<!\\)`a", text) is None
    for line in text.splitlines():
        if line.startswith("| cpu"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 5


def test_a_plot_has_a_path_for_each_stretch_that_is_known() -> None:
    line = Line("lost", [1.0, 2.0, None, 3.0, None])
    drawn = plot("loss", [1, 2, 3, 4, 5], [line, Line("none", [None] * 5)], str, [(1, "<one>")])
    assert drawn.count("<path") == 2
    assert "none" not in drawn
    assert "&lt;one&gt;" in drawn
    assert "nan" not in drawn
    assert plot("nothing", [1, 2], [Line("x", [None, None])], str) == ""


def test_a_search_is_a_report() -> None:
    result = {
        "eps": 90_000.0,
        "loss_allowed": 0.0,
        "at_least": True,
        "trials": 1,
        "passed": 1,
        "sent": 90_000,
        "lost": 0,
        "confidence": 0.95,
        "pass_probability_at_least": 0.05,
        "loss_ratio_at_most": 3.3e-5,
    }
    search: dict[str, Any] = {
        "trial_seconds": 1.0,
        "repeats": 1,
        "resolution": 0.02,
        "from_eps": 1000.0,
        "to_eps": 90_000.0,
        "complete": True,
        "storm_short": False,
        "attempts": [],
        "ndr": result,
        "pdr": None,
    }
    made = setting("made", "ndr_eps >= 50k", search=True)
    report = valid(of_search(made, datetime(2026, 1, 1, tzinfo=UTC), 1.0, search, False, ""))
    assert report["state"] == "met"
    assert [advice["rule"] for advice in report["recommendations"]] == ["search_high"]
    for text in (page.render(report), markdown.render(report)):
        assert "NDR (no loss): at least 90,000 events/s" in text
        assert "Clopper-Pearson" in text
        assert "PDR: no rate passed" in text


def test_scores_are_in_it() -> None:
    report = valid(document(setting(), run(samples(GOOD)), score([], [])))
    assert report["detection"]["f1"] == 0
    assert report["figures"]["f1"] == 0
    assert "Precision 0.0000" in page.render(report)


def advised(**changes: Any) -> list[str]:
    """The rules that a good run's figures call for once some of them are changed."""
    report = document(setting(), run(samples(GOOD, GOOD, GOOD)), None)
    for place, value in changes.items():
        part, _, key = place.partition("__")
        report[part] = value if not key else {**report[part], key: value}
    return [rule for rule, _ in recommendations(report)]


@pytest.mark.parametrize(
    ("changed", "rules"),
    [
        ({}, []),
        ({"account__lost": 5, "account__kernel_dropped": 5}, ["kernel_dropped"]),
        ({"account__lost": 5, "account__lost_elsewhere": 5}, ["lost_elsewhere"]),
        ({"account__lost": 5, "account__shed": 5}, ["shed"]),
        ({"account__lost": 9, "account__shed": 5, "account__kernel_dropped": 4}, ["shed", "kernel_dropped"]),
        ({"account__lost": 5, "target__kind": "other"}, ["receiver_lost"]),
        ({"account__closed": False}, ["account_open"]),
        ({"figures__achieved_ratio": 0.9, "figures__cpu": 0.95}, ["machine_busy"]),
        ({"figures__achieved_ratio": 0.9}, ["storm_short"]),
        ({"figures__errors": 3}, ["send_errors"]),
        ({"figures__late_ratio": 0.1}, ["late"]),
        ({"figures__latency_p99": 0.02}, ["latency"]),
        ({"figures__memory": 7.9e9}, ["memory"]),
    ],
)
def test_recommendations_follow_from_figures(changed: dict[str, Any], rules: list[str]) -> None:
    assert advised(**changed) == rules


def reports(folder: Path) -> tuple[Path, Path]:
    for name, lost in (("before", 0), ("after", 100)):
        found = samples(GOOD, (1000, lost))
        write_reports(document(setting(), run(found, lost=lost), None), folder / name)
    return folder / "before", folder / "after"


def test_two_reports_are_compared(tmp_path: Path) -> None:
    before, after = map(read_report, reports(tmp_path))
    found = {(change.where, change.name): change for change in changes(before, after)}
    assert found["", "loss_ratio"].regression == pytest.approx(0.05)
    assert found["one", "loss_ratio"].after == pytest.approx(0.05)
    assert found["", "received_eps"].regression == pytest.approx(0.05)
    assert found["", "achieved_eps"].regression == 0
    assert found["", "achieved_eps"].before == 1000
    assert set(BETTER) <= set(SCHEMA["$defs"]["figures"]["properties"])


def test_diff_on_the_command_line(tmp_path: Path, haechi: Callable[..., Ran]) -> None:
    before, after = reports(tmp_path)
    shown = haechi("report", "diff", before, after / "report.json")
    assert shown.status == 0
    assert "loss_ratio" in shown.out
    missed = haechi("report", "diff", before, after, "--max-regression", 0.01, "--json")
    assert missed.status == 99
    assert "loss_ratio" in json.loads(missed.out)["regressions"]
    assert "haechi: loss_ratio got worse by 5.0%" in missed.err
    assert haechi("report", "diff", after, before, "--max-regression", 0.01).status == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is not JSON"), ("[]", "is no report"), ('{"figures": {}, "format": 9}', "has the format 9")],
)
def test_what_is_no_report_is_refused(
    tmp_path: Path, haechi: Callable[..., Ran], text: str, said: str
) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=said):
        read_report(path)
    assert haechi("report", "diff", path, path).status == 1
    assert haechi("report", "diff", tmp_path / "none", path).status == 2


def test_a_samples_latency_is_drawn() -> None:
    with_latency = [replace(s, latency_s={"p50": 0.001, "p99": 0.002}) for s in samples(GOOD, GOOD)]
    report = valid(document(setting(), run([NOTHING, *with_latency[1:]]), None))
    assert report["series"]["latency_p99_s"] == [0.002, 0.002]
    assert "Latency" in page.render(report)
