"""The API against its own description: whatever is asked, the answer is one that is documented."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import hypothesis
import pytest
import schemathesis
import uvicorn
from hypothesis import strategies
from schemathesis import checks

from haechi.config.serve import HealingConfig, ServeConfig
from haechi.config.storm import StormConfig
from haechi.native.running import RunningTool
from haechi.serve.fleet import Detector
from haechi.serve.keys import Keys
from haechi.serve.run import _uvicorn
from haechi.serve.trial_record import TrialView
from haechi.sink.run import Sink
from haechi.storm import targets
from haechi.storm.run import Storm
from tests.integration.serve_room import until

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
SETTINGS = hypothesis.settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)


class Idle(RunningTool):
    """Nothing is begun by tests that ask at random; what would have been checked before is."""

    def __init__(self) -> None:
        return

    pid = 1
    running = True
    page = None

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        return {}

    def take_rate(self, config: Any) -> None:
        return

    def stop(self) -> None:
        return

    def words(self) -> list[str]:
        return []

    def summary(self, timeout_s: float | None = None) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        return


def leave_trial(state: Path) -> None:
    """One of an earlier server's, with a report."""
    folder = state / "trials" / "trial-1"
    folder.mkdir(parents=True)
    record = TrialView(
        id="trial-1", scenario="x", state="done", started="", scale_time=1, scale_rate=1, progress={}
    )
    (folder / "trial.json").write_text(record.model_dump_json())
    report = {"format": 1, "figures": {"achieved_eps": 5.0}, "steps": []}
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "report.html").write_text("<p>x</p>")
    (folder / "report.md").write_text("x")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server in this process, so that its tools can be replaced."""

    def start(config: Any, **_: Any) -> Idle:
        if isinstance(config, StormConfig):
            targets.check(config, look_up=lambda target: [target])
        return Idle()

    with pytest.MonkeyPatch.context() as patch:
        for tool in (Storm, Sink, Detector):
            patch.setattr(tool, "start", start)
        patch.setattr("haechi.serve.fleet.RUNNING_MAX", 1_000_000)
        patch.setattr("haechi.serve.trials._PROGRAM", "pass")
        state = tmp_path_factory.mktemp("state")
        leave_trial(state)
        healing = HealingConfig(enabled=False)  # nothing here is well
        config = ServeConfig(state=state, port=0, requests_per_second=100_000, healing=healing)
        server = uvicorn.Server(_uvicorn(config, Keys(None, time.monotonic)))
        thread = threading.Thread(target=server.run)
        thread.start()
        until(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        thread.join()


def operations(url: str) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    return [cast(Any, operation).ok() for operation in schema.get_all_operations()]


def test_every_operation(url: str) -> None:
    for kind, wish in (("storm", {"target": "127.0.0.1"}), ("sink", {})):
        assert httpx.post(f"{url}/{kind}s", json=wish).json()["id"] == f"{kind}-1"
    seen, of_trials = set(), set()
    asked = operations(url)
    assert len(asked) > 45
    for operation in asked:
        cases = strategies.one_of(
            operation.as_strategy(),
            operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
        )

        @SETTINGS
        @hypothesis.given(case=cases, known=strategies.booleans())
        def answers_as_documented(case: Any, known: bool) -> None:
            place = case.path_parameters
            if known and "job_id" in place:
                place["job_id"] = case.path.split("/")[1].removesuffix("s") + "-1"
            if case.method == "DELETE" and place.get("trial_id") == "trial-1":
                place["trial_id"] = "trial-2"  # the one with the report stays
            if known and case.method != "DELETE":
                place |= {name: "trial-1" for name in ("trial_id", "other_id") if name in place}
                place |= {name: "burst" for name in ("name",) if name in place}
            if known and case.method == "POST" and case.path == "/trials" and isinstance(case.body, dict):
                case.body["scenario"] = "burst"
            answer = case.call_and_validate(base_url=url, checks=CHECKS)
            seen.add((case.method, answer.status_code))
            if "trial" in case.path or "scenario" in case.path:
                of_trials.add((case.method, case.path, answer.status_code))

        answers_as_documented()
    # It is not only refused.
    assert seen >= {
        ("GET", 200),
        ("POST", 200),
        ("POST", 422),
        ("PUT", 200),
        ("GET", 404),
        ("DELETE", 409),
    }, seen
    assert of_trials >= {
        ("GET", "/scenarios/{name}", 200),
        ("GET", "/scenarios/{name}", 404),
        ("PUT", "/scenarios/{name}", 409),
        ("POST", "/trials", 201),
        ("POST", "/trials", 422),
        ("POST", "/trials/{trial_id}/stop", 409),
        *(("GET", f"/trials/{{trial_id}}/report.{kind}", 200) for kind in ("json", "html", "md")),
        ("GET", "/trials/{trial_id}/diff/{other_id}", 200),
        ("GET", "/trials/{trial_id}/diff/{other_id}", 404),
    }, of_trials
