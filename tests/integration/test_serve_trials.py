"""Trials begun over HTTP: seen while they run, stopped, killed, found again, compared."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from websockets.sync.client import connect

from haechi.native.tools import ToolError, tool_path
from haechi.trial import page
from tests.integration.serve_room import PATIENCE_S, Serving, alive, serving, until

try:
    for tool in ("haechi-storm", "haechi-sink"):
        tool_path(tool)
except ToolError as missing:
    pytest.skip(str(missing), allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())
QUICK = """
name: <b>quick</b>
description: '<img src=x onerror=alert(1)>'
target: {ports: 2 free}
storm: {workers: 1}
steps:
  - {name: first, rate: 4k, duration: 1500ms, criteria: [peak_eps < 1]}
  - {name: second, rate: 8k, duration: 1500ms, criteria: ["sent > 100"]}
criteria: [loss_ratio < 0.9]
"""
LONG = "name: long\ntarget: {ports: 2 free}\nstorm: {workers: 1}\nsteps: [{rate: 2k, duration: 1h}]\n"


def keep(plane: Serving) -> None:
    for name, text in (("quick", QUICK), ("long", LONG)):
        assert plane.client.put(f"/scenarios/{name}", json={"text": text}).status_code == 200


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("serve"), requests_per_second=1000) as running:
        keep(running)
        yield running


def begun(plane: Serving, **wish: Any) -> str:
    trial = plane.post("/trials", wish)
    assert trial["state"] == "running"
    return str(trial["id"])


def ended(plane: Serving, name: str) -> dict[str, Any]:
    found = until(
        lambda: (trial := plane.get(f"/trials/{name}"))["state"] not in ("running", "stopping") and trial
    )
    assert isinstance(found, dict)
    return found


def sampled(plane: Serving, name: str) -> dict[str, Any]:
    def shown() -> Any:
        trial = plane.get(f"/trials/{name}")
        assert trial["state"] == "running", trial
        return trial["progress"].get("samples") and trial["progress"]

    found = until(shown)
    assert isinstance(found, dict)
    return found


def test_scenarios_are_shown(plane: Serving) -> None:
    listed = {one["name"]: one for one in plane.get("/scenarios")}
    assert {"burst", "endurance", "gradual", "ndr", "detect-under-load", "quick"} <= set(listed)
    assert listed["burst"]["shipped"]
    assert listed["burst"]["duration_s"] == 1800
    assert listed["ndr"]["search"]
    assert not listed["quick"]["shipped"]
    quick = plane.get("/scenarios/quick")
    assert quick["text"] == QUICK
    assert [step["eps_highest"] for step in quick["steps"]] == [4000, 8000]
    assert quick["criteria"] == ["loss_ratio < 0.9"]
    assert quick["target"] == {"kind": "sink", "address": "127.0.0.1", "ports": "2 free"}
    assert plane.client.get("/scenarios/nosuch").status_code == 404
    assert plane.client.delete("/scenarios/nosuch").status_code == 404
    assert plane.client.delete("/scenarios/burst").status_code == 409
    assert plane.client.put("/scenarios/burst", json={"text": QUICK}).status_code == 409
    refused = plane.client.put("/scenarios/bad", json={"text": "name: x\nsteps: [{rate: 1, duration: 1d9}]"})
    assert refused.status_code == 422
    assert "is not a time" in refused.json()["detail"]
    assert "steps" in refused.json()["detail"]
    assert plane.client.put("/scenarios/spare", json={"text": QUICK}).status_code == 200
    assert plane.client.delete("/scenarios/spare").status_code == 204
    assert plane.client.get("/scenarios/spare").status_code == 404


def test_what_a_storm_may_be_chosen_from(plane: Serving) -> None:
    assert [one["name"] for one in plane.get("/profiles")] == ["auth", "firewall", "system", "web"]
    assert all(one["description"].endswith(".") for one in plane.get("/profiles"))
    presets = {one["name"]: one for one in plane.get("/presets")}
    assert presets["4m"]["eps"] == 4_000_000
    assert presets["4m-classic"]["workers"] == 40


def test_a_trial_from_start_to_end(plane: Serving) -> None:
    name = begun(plane, scenario="quick", scale_rate=0.5, scale_time=3)
    assert "one trial runs at a time" in plane.post("/trials", {"scenario": "quick"}, status=409)["detail"]
    assert plane.client.delete(f"/trials/{name}").status_code == 409
    assert plane.client.get(f"/trials/{name}/report.json").status_code == 404

    # A criterion that cannot be met any more is red at once, long before its step is over.
    shown = until(
        lambda: (
            (shown := plane.get(f"/trials/{name}"))["progress"].get("criteria")
            and shown["progress"]["criteria"][0]["state"] == "failed"
            and shown
        )
    )
    assert shown["state"] == "running"
    assert [step["name"] for step in shown["progress"]["steps"]] == ["first", "second"]
    assert shown["progress"]["criteria"][2]["state"] == "unknown"
    with connect(plane.url.replace("http", "ws") + "/metrics") as stream:
        told = until(lambda: json.loads(stream.recv(PATIENCE_S))["trials"])
    assert told[0]["id"] == name
    assert "samples" not in told[0]["progress"]

    trial = ended(plane, name)
    assert (trial["state"], trial["passed"], trial["exit_code"], trial["error"]) == ("done", False, 99, None)
    assert trial["scale_rate"] == 0.5
    progress = trial["progress"]
    assert [step["state"] for step in progress["steps"]] == ["done", "done"]
    assert [one["state"] for one in progress["criteria"]] == ["failed", "met", "met"]
    assert all(len(sample) == 5 for sample in progress["samples"])
    report = plane.get(f"/trials/{name}/report.json")
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["state"] == "missed"
    # In all, less what was sent before the first sample.
    assert report["account"]["sent"] == pytest.approx(27_000, rel=0.15)
    told = {
        (e["kind"], e["action"]): e["text"] for e in plane.get("/events")["events"] if e["subject"] == name
    }
    assert told["operator", "start"] == f"{name}: quick is started"
    assert told["end", "done"] == f"{name}: quick has ended: a criterion is not met"
    rows = plane.get(f"/trials/{name}/diff/{name}")["rows"]
    assert {row["step"] for row in rows} == {None, "first", "second"}
    assert {row["change"] for row in rows} <= {0.0, None}
    again = begun(plane, scenario="quick", scale_time=0.5)
    assert [one["id"] for one in plane.get("/trials")][:2] == [again, name]
    assert "samples" not in plane.get("/trials")[1]["progress"]
    ended(plane, again)
    compared = {row["name"]: row for row in plane.get(f"/trials/{name}/diff/{again}")["rows"]}
    assert compared["first: achieved_eps"]["b"] > compared["first: achieved_eps"]["a"]
    assert plane.client.get(f"/trials/{name}/diff/trial-999").status_code == 404
    assert plane.client.delete(f"/trials/{again}").status_code == 204
    assert plane.client.get(f"/trials/{again}").status_code == 404
    assert not (plane.folder / "state" / "trials" / again).exists()


def test_a_report_is_a_page_that_can_do_nothing(plane: Serving) -> None:
    name = begun(plane, scenario="quick", scale_time=0.2)
    ended(plane, name)
    answer = plane.client.get(f"/trials/{name}/report.html")
    policy = answer.headers["content-security-policy"]
    assert policy == f"{page.POLICY}; frame-ancestors 'none'; sandbox"
    assert "script" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "&lt;b&gt;quick&lt;/b&gt;" in answer.text
    for hostile in ("<b>quick", "<img", "<script"):
        assert hostile not in answer.text
    markdown = plane.client.get(f"/trials/{name}/report.md")
    assert markdown.headers["content-type"].startswith("text/markdown")


def test_one_that_is_stopped_leaves_a_report(plane: Serving) -> None:
    name = begun(plane, scenario="long")
    sampled(plane, name)
    assert plane.post(f"/trials/{name}/stop", status=200)["state"] == "stopping"
    trial = ended(plane, name)
    assert (trial["state"], trial["passed"], trial["exit_code"]) == ("interrupted", None, 130)
    report = plane.get(f"/trials/{name}/report.json")
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["state"] == "interrupted"
    assert report["account"]["sent"] > 0
    plane.post(f"/trials/{name}/stop", status=409)


def test_one_that_is_stopped_as_it_begins_leaves_a_report(plane: Serving) -> None:
    name = begun(plane, scenario="long")
    plane.post(f"/trials/{name}/stop", status=200)
    trial = ended(plane, name)
    assert (trial["state"], trial["exit_code"]) == ("interrupted", 130)
    assert plane.get(f"/trials/{name}/report.json")["state"] == "interrupted"


def processes(plane: Serving) -> tuple[int, list[int]]:
    """A trial's own, and its storm and sink."""
    (trial,) = plane.children()
    tools = Path(f"/proc/{trial}/task/{trial}/children")
    return trial, until(lambda: len(found := [int(pid) for pid in tools.read_text().split()]) == 2 and found)


def test_one_that_is_killed_is_said(plane: Serving) -> None:
    name = begun(plane, scenario="long")
    sampled(plane, name)
    pid, tools = processes(plane)
    os.kill(pid, signal.SIGKILL)
    trial = ended(plane, name)
    assert (trial["state"], trial["exit_code"]) == ("failed", -9)
    assert trial["error"]
    until(lambda: not any(map(alive, tools)))
    assert plane.client.get(f"/trials/{name}/report.html").status_code == 404


def test_a_scenario_that_fails_says_why(plane: Serving) -> None:
    text = LONG.replace("2 free", '"26514"').replace("ports:", "address: 10.255.255.1, ports:")
    assert plane.client.put("/scenarios/elsewhere", json={"text": text}).status_code == 200
    trial = ended(plane, begun(plane, scenario="elsewhere"))
    assert (trial["state"], trial["exit_code"]) == ("failed", 1)
    assert "10.255.255.1" in trial["error"]
    assert "Traceback" not in trial["error"]


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"scenario": "quick", "scale_time": 0},
        {"scenario": "quick", "scale_rate": 1001},
        {"scenario": "quick", "scale_rate": "fast"},
        {"scenario": 3},
    ],
)
def test_a_trial_that_is_refused(plane: Serving, wish: dict[str, Any]) -> None:
    plane.post("/trials", wish, status=422)
    assert plane.client.post("/trials", json={"scenario": "../x"}).status_code == 404


def test_what_earlier_servers_left(tmp_path: Path) -> None:
    with serving(tmp_path) as plane:
        keep(plane)
        ended(plane, begun(plane, scenario="quick", scale_time=0.2))
        name = begun(plane, scenario="long")
        sampled(plane, name)
        pid, tools = processes(plane)
        plane.end(signal.SIGKILL)
        # The kernel tells it that the server is gone; it ends with a report of what it saw.
        until(lambda: not alive(pid) and not any(map(alive, tools)))
    trials = tmp_path / "state" / "trials"
    assert json.loads((trials / name / "trial.json").read_text())["state"] == "running"
    (trials / "trial-7").mkdir()
    (trials / "trial-7" / "trial.json").write_text('{"id": "trial-7"')
    (trials / "trial-8").mkdir()
    (trials / "trial-8" / "trial.json").write_text((trials / name / "trial.json").read_text())
    (trials / "trial-9").symlink_to("/etc")
    (trials / "notes").write_text("somebody's")
    with serving(tmp_path, trials_kept=4) as plane:
        listed = plane.get("/trials")
        assert [(one["id"], one["state"], one["passed"]) for one in listed] == [
            ("trial-2", "interrupted", None),
            ("trial-1", "done", False),
        ]
        assert listed[0]["ended"]
        assert plane.get("/trials/trial-2/report.json")["state"] == "interrupted"
        name = begun(plane, scenario="quick", scale_time=0.2)
        assert name == "trial-10"
        assert {path.name for path in trials.iterdir()} == {
            *("trial-7", "trial-8", "trial-9", "trial-10", "notes")
        }
        ended(plane, name)
        assert len(plane.get("/trials")) == 1


def test_term_ends_a_trial_with_its_report(tmp_path: Path) -> None:
    with serving(tmp_path) as plane:
        keep(plane)
        name = begun(plane, scenario="long")
        sampled(plane, name)
        pid, tools = processes(plane)
        assert plane.end() == 0, plane.said()
        assert not any(map(alive, [pid, *tools]))
    report = json.loads((tmp_path / "state" / "trials" / name / "report.json").read_text())
    assert report["state"] == "interrupted"


def test_a_trial_needs_the_token_too(tmp_path: Path) -> None:
    with serving(tmp_path, demand_token=True) as plane:
        for method, path in (
            ("GET", "/scenarios"),
            ("PUT", "/scenarios/x"),
            ("POST", "/trials"),
            ("GET", "/trials"),
            ("GET", "/trials/trial-1/report.html"),
        ):
            assert httpx.request(method, plane.url + path).status_code == 401
