"""Trials against real storms, sinks, detectors and a receiver that is not haechi's, in seconds each."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest

from haechi.native.tools import ToolError, tool_path
from haechi.trial.conduct import Conditions, conduct
from haechi.trial.ndr import Attempt
from haechi.trial.runner import StepRun
from haechi.trial.scenario import Scenario, Step, load
from tests.conftest import Ran

try:
    for tool in ("haechi-storm", "haechi-sink", "haechi-detect"):
        tool_path(tool)
except ToolError as missing:
    pytest.skip(str(missing), allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())
WAIT_S = 60.0
Haechi = Callable[..., Ran]

QUICK_TRAINING = """
session: {by: fields, fields: [host, process, pid], idle_s: 1}
model: {embedding: 8, hidden: 16, layers: 1}
fit: {epochs: 1, min_steps: 40, max_steps: 40, batch: 128}
threshold: {folds: 2}
"""


class Onlooker:
    """Does something once, when so many samples have been taken."""

    def __init__(self, after: int = 0, act: Callable[[], None] = lambda: None) -> None:
        self._left, self._act = after, act
        self.steps: list[str] = []

    def says(self, text: str) -> None:
        pass

    def begins(self, scenario: Scenario, steps: tuple[Step, ...]) -> None:
        pass

    def step_begins(self, number: int, step: Step) -> None:
        self.steps.append(step.name)

    def sampled(self, run: StepRun) -> None:
        self._left -= 1
        if self._left == 0:
            self._act()

    def step_ends(self, number: int, run: StepRun) -> None:
        pass

    def tried(self, attempt: Attempt) -> None:
        pass


def written(folder: Path, text: str) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(text)
    return path


def valid(report: dict[str, Any]) -> dict[str, Any]:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(report, allow_nan=False)))
    return report


def read(folder: Path) -> dict[str, Any]:
    assert {"report.json", "report.html", "report.md"} == {path.name for path in folder.iterdir()}
    return valid(json.loads((folder / "report.json").read_text()))


def run(scenario: Path, folder: Path, onlooker: Onlooker | None = None, **more: Any) -> dict[str, Any]:
    folder.mkdir()
    conditions = Conditions(folder, {"cores": 2}, more.pop("ended", threading.Event()), **more)
    return valid(conduct(load(scenario), conditions, onlooker or Onlooker()))


def test_every_pattern_is_sent_and_accounted_for(tmp_path: Path, haechi: Haechi) -> None:
    scenario = written(
        tmp_path,
        """
name: patterns
target: {ports: 2 free}
storm: {workers: 1}
steps:
  - {name: even, rate: 10k, duration: 10s, criteria: [{recovers_within: 60s}, loss_ratio < 0.2]}
  - {name: up, pattern: ramp, from: 5k, to: 20k, duration: 10s}
  - {name: wave, pattern: sine, rate: 10k, amplitude: 5k, period: 5s, duration: 10s}
  - {name: odd, rate: 10k, duration: 10s, anomalies: {rate: 0.05}}
criteria: [achieved_ratio > 0.8, latency_p99 < 10s, cpu <= 100 %, "storm_memory < 1GB"]
""",
    )
    ran = haechi("trial", scenario, "--scale-time", 0.1, "-o", tmp_path / "out", "--json")
    assert ran.status == 0, ran.err
    report = read(tmp_path / "out")
    assert json.loads(ran.out) == report
    account = report["account"]
    assert account["closed"]
    assert account["sent"] == account["received"] + account["lost"]
    # 10,000 and the ramp's mean, 12,500, and the wave's, and 10,000 again, a second of each.
    assert account["sent"] == pytest.approx(42_500, rel=0.08)
    assert sum(step["figures"]["sent"] for step in report["steps"]) == pytest.approx(
        account["sent"], rel=0.05
    )
    assert [step["ended"] for step in report["steps"]] == [True] * 4
    assert report["scale"] == {"time": 0.1, "rate": 1.0}
    assert "up: 5,000 to 20,000 events/s" in ran.err
    assert "+ recovers_within: 60s" in ran.err
    assert not psutil.Process().children()


def test_a_criterion_that_is_not_met_ends_with_99(tmp_path: Path, haechi: Haechi) -> None:
    scenario = written(
        tmp_path,
        """
name: too fast
target: {ports: 1 free, max_eps: 1k, buffer_bytes: 4096, plain: true}
storm: {workers: 1}
steps: [{rate: 20k, duration: 1s, criteria: [loss_ratio < 0.01]}]
criteria: [loss_ratio < 0.005, uptime_ratio > 0.9]
""",
    )
    ran = haechi("trial", scenario, "-o", tmp_path / "out")
    assert ran.status == 99
    assert "too fast: missed" in ran.out
    report = read(tmp_path / "out")
    assert report["account"]["lost"] > 1000
    assert {c["verdict"] for c in [*report["criteria"], *report["steps"][0]["criteria"]]} == {"missed"}
    assert "kernel_dropped" in [advice["rule"] for advice in report["recommendations"]]


@pytest.mark.parametrize(("victim", "word"), [("haechi-sink", "sink"), ("haechi-storm", "storm")])
def test_one_that_dies_is_named_and_what_was_seen_is_kept(tmp_path: Path, victim: str, word: str) -> None:
    def kill() -> None:
        for child in psutil.Process().children():
            if child.name() == victim:
                child.kill()

    scenario = written(
        tmp_path,
        "name: x\ntarget: {ports: 2 free}\nstorm: {workers: 1}\nsteps:\n"
        "  - {name: long, rate: 5k, duration: 60s}\n  - {name: never, rate: 5k, duration: 1s}\n",
    )
    began = time.monotonic()
    onlooker = Onlooker(3, kill)
    report = run(scenario, tmp_path / "work", onlooker)
    assert time.monotonic() - began < WAIT_S
    assert report["state"] == "failed"
    assert f"the {word} ended in the middle of it" in report["failure"]
    assert "SIGKILL" in report["failure"]
    assert onlooker.steps == ["long"]
    assert [step["reached"] for step in report["steps"]] == [True, False]
    assert report["account"]["sent"] > 0
    assert len(report["series"]["at_s"]) >= 3
    assert not psutil.Process().children()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_signal_leaves_a_report_of_what_was_seen(tmp_path: Path, terminal: bool) -> None:
    """TERM to the trial alone, or INT to all its processes, as Ctrl-C does."""
    scenario = written(
        tmp_path,
        "name: x\ntarget: {ports: 2 free}\nstorm: {workers: 1}\nsteps:\n"
        "  - {name: long, rate: 5k, duration: 600s}\n  - {name: never, rate: 5k, duration: 1s}\n"
        "criteria: [loss_ratio < 1]\n",
    )
    program = "import sys; from haechi.cli.main import main; sys.exit(main(sys.argv[1:]))"
    told, tell = os.pipe()
    command = [sys.executable, "-c", program, "trial", str(scenario), "-o", str(tmp_path / "out")]
    command += ["--progress-fd", str(tell)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stderr=pipe, stdout=pipe, env=environment, start_new_session=True, pass_fds=[tell]
    ) as trial:
        try:
            os.close(tell)
            with open(told, encoding="utf-8") as lines:
                seen = 0
                while seen < 3:  # so that something was seen, not more than the begin of it
                    line = lines.readline()
                    assert line, "it has ended"
                    sample = json.loads(line)
                    seen += sample["kind"] == "sample" and sample["eps"] > 0
            children = psutil.Process(trial.pid).children()
            storm = next(child for child in children if child.name() == "haechi-storm")
            if terminal:
                os.killpg(trial.pid, signal.SIGINT)
            else:
                trial.send_signal(signal.SIGTERM)
            _, said = trial.communicate(timeout=WAIT_S)
        finally:
            trial.kill()
    assert trial.returncode == 130, said
    assert b"Traceback" not in said
    report = read(tmp_path / "out")
    assert report["state"] == "interrupted"
    assert report["account"]["sent"] > 0
    assert report["account"]["closed"]
    assert [step["ended"] for step in report["steps"]] == [False, False]
    assert report["criteria"][0]["verdict"] == "met"
    assert not storm.is_running()


@contextmanager
def receiver(count_file: Path, leave_out: int = 0) -> Iterator[int]:
    """Somebody else's: counts datagrams into a file, and leaves every n-th out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        ended = threading.Event()

        def take() -> None:
            came = 0
            while not ended.is_set():
                try:
                    sock.recv(65536)
                    came += 1
                except TimeoutError:
                    count = came - (came // leave_out if leave_out else 0)
                    new = count_file.with_suffix(".new")
                    new.write_text(str(1000 + count))  # it has counted others before
                    new.replace(count_file)

        count_file.write_text("1000")
        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(("leave_out", "state"), [(0, "met"), (10, "missed")])
def test_somebody_elses_receiver_is_asked_for_its_count(tmp_path: Path, leave_out: int, state: str) -> None:
    count = tmp_path / "count"
    with receiver(count, leave_out) as port:
        scenario = written(
            tmp_path,
            f"""
name: theirs
target: {{kind: other, ports: "{port}", received: {{command: [cat, {count}], settle: 1s}}}}
storm: {{workers: 1}}
steps: [{{rate: 2k, duration: 1s}}]
criteria: [loss_ratio < 0.02, lost < 100]
""",
        )
        report = run(scenario, tmp_path / "work")
    account = report["account"]
    assert report["state"] == state
    assert account["closed"] is None
    assert account["sent"] == pytest.approx(2000, rel=0.1)
    assert account["received"] + account["lost"] == account["sent"]
    assert account["loss_ratio"] == pytest.approx(0.1 if leave_out else 0, abs=0.01)
    assert report["steps"][0]["figures"]["received"] is None


def test_a_detector_is_trained_stormed_and_scored(tmp_path: Path) -> None:
    (tmp_path / "training.yaml").write_text(QUICK_TRAINING)
    scenario = written(
        tmp_path,
        f"""
name: detect
target:
  kind: detect
  ports: 2 free
  train_lines: 20k
  train_config: {tmp_path}/training.yaml
storm: {{workers: 1, anomaly_rate: 0.02}}
steps: [{{rate: 5k, duration: 5s}}]
criteria: [recall > 0, latency_p99 < 30s, loss_ratio < 0.5]
""",
    )
    report = run(scenario, tmp_path / "work")
    assert report["state"] == "met", report["criteria"]
    assert report["account"]["closed"]
    assert report["detection"]["episodes"] >= report["detection"]["found"] > 0
    assert report["figures"]["f1"] == pytest.approx(report["detection"]["f1"], abs=1e-6)
    assert report["figures"]["latency_p99"] > 0


def test_a_search_finds_what_a_slow_sink_takes(tmp_path: Path) -> None:
    scenario = written(
        tmp_path,
        """
name: ndr
target: {ports: 1 free, max_eps: 5k, buffer_bytes: 4096, plain: true}
storm: {workers: 1}
search: {from: 100, to: 400k, trial: 3s, repeats: 2, resolution: 0.9, partial_loss: 5 %}
""",
    )
    report = run(scenario, tmp_path / "work", scale_time=0.1, scale_rate=0.1)
    search = report["search"]
    assert search["complete"]
    assert search["trial_seconds"] == pytest.approx(0.3)
    tried = {attempt["eps"] for attempt in search["attempts"]}
    assert 40_000 in tried
    for name, loss in (("ndr", 0.0), ("pdr", 0.05)):
        if (result := search[name]) is not None:  # a busy machine may lose at any rate
            assert result["eps"] < 40_000
            assert result["passed"] == result["trials"] == 2
            assert result["lost"] <= loss * result["sent"]
            assert result["pass_probability_at_least"] == pytest.approx(0.05**0.5)


def test_a_search_that_is_ended_is_a_report(tmp_path: Path) -> None:
    scenario = written(
        tmp_path,
        "name: ndr\ntarget: {ports: 1 free}\nsearch: {from: 1k, to: 10k, trial: 600s}\nstorm: {workers: 1}\n",
    )
    ended = threading.Event()
    timer = threading.Timer(0.5, ended.set)
    timer.start()
    report = run(scenario, tmp_path / "work", ended=ended)
    timer.join()
    assert report["state"] == "interrupted"
    assert not report["search"]["complete"]
    assert report["search"]["ndr"] is None


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("name: x\nsteps: [{rate: 1k, duration: 1s}]\nstorms: {}", 2, "did you mean storm?"),
        ("name: x\nstorm: {profile: none}\nsteps: [{rate: 1k, duration: 1s}]", 2, "none"),
        (
            "name: x\nsteps: [{rate: 1k, duration: 1s}]\n"
            "target: {kind: other, address: 192.0.2.1, ports: '45514', received: {command: echo 1}}",
            2,
            "is outside loopback",
        ),
        (
            "name: x\ntarget: {ports: '515'}\nsearch: {from: 5k, to: 4k}\nsteps: [{rate: 1k, duration: 1s}]",
            2,
            "from: 5,000 is not below to, 4,000",
        ),
        ("name: x\nsteps: [{rate: 30M, duration: 1s}]\ntarget: {ports: 1 free}", 2, "above the limit"),
        (
            "name: x\ntarget: {kind: other, ports: '45514', received: {command: /nowhere/count}}\n"
            "steps: [{rate: 1k, duration: 1s}]",
            1,
            "/nowhere/count: No such file",
        ),
    ],
)
def test_what_cannot_begin_says_why(
    tmp_path: Path, haechi: Haechi, text: str, status: int, said: str
) -> None:
    ran = haechi("trial", written(tmp_path, text), "-o", tmp_path / "out")
    assert ran.status == status
    assert said in ran.err
    assert not (tmp_path / "out").exists()
