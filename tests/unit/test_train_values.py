"""What training makes of the values that stand where templates vary."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from haechi.bundle.description import describe
from haechi.bundle.manifest import Other
from haechi.config.training import ValuesConfig
from haechi.corpus.logs import mine
from haechi.native import _core
from haechi.storm.maker import make
from haechi.train import values
from haechi.train.values import Allowance, Check, closed, limits, network_text

CONFIG = ValuesConfig(budget=1e-4)
LINES = 4000


def log_of(path: Path, line: Callable[[int], str], lines: int = LINES) -> Path:
    path.write_text("".join(line(i) + "\n" for i in range(lines)))
    return path


def learned(log: Path, config: ValuesConfig = CONFIG) -> tuple[list[dict[str, object]], bytes, bytes]:
    """The checks, values.json and templates.json."""
    templates = mine([log], "plain", 100, 64)
    lines = log.read_bytes().count(b"\n")
    entry = values.learn([log], "plain", templates, lines, config)
    if entry is None:
        return [], b"", templates
    content = entry.files[values.FILE]
    checks = json.loads(content)["checks"]
    assert entry.section["checks"] == len(checks)
    return checks, content, templates


def failing(content: bytes, templates: bytes, lines: list[str]) -> list[bool]:
    """Which lines fail a check; by the memory of forms, and without it."""
    judge = _core.ValueChecks("plain", _core.Matcher(templates), content)
    data = "\n".join(lines).encode()
    verdicts = [judge.judge_log(data), judge.judge_log(data), judge.judge_log(data, one_by_one=True)]
    assert (verdicts[0] == verdicts[1]).all()
    assert (verdicts[0] == verdicts[2]).all()
    return [bool(odd) for odd in verdicts[0]]


def test_a_number_an_address_a_word_and_a_port_are_checked(tmp_path: Path) -> None:
    draw = random.Random(1)

    def line(_: int) -> str:
        user = draw.choice(["deploy", "backup", "kim", "lee", "park", "choi", "weber", "rossi", "silva"])
        address = f"10.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}"
        port = draw.choice([22, 443, 8443])
        return f"accepted session {draw.randrange(1000, 60001)} of {user} from {address} to port {port} now"

    checks, content, templates = learned(log_of(tmp_path / "a.log", line))
    assert {check["kind"] for check in checks} == {"range", "words", "numbers", "networks"}

    def of(uid: str = "2000", user: str = "kim", address: str = "10.1.2.3", port: str = "443") -> str:
        return f"accepted session {uid} of {user} from {address} to port {port} now"

    usual = [of(), of(uid="1000"), of(uid="60000"), of(address="10.255.0.1"), of(port="8443")]
    odd = [of(uid="912345"), of(uid="0"), of(user="root"), of(address="203.0.113.17"), of(port="4444")]
    assert failing(content, templates, usual + odd) == [False] * len(usual) + [True] * len(odd)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("grows", lambda i: f"took snapshot {1000 + i} of volume"),
        ("grows slowly", lambda i: f"at {1_700_000_000 + i // 7} it was seen"),
        ("never varies", lambda i: f"listens on port 8080 {'and waits' if i % 2 else 'or not'} for requests"),
        ("is always new", lambda i: f"opened for user u{i:x}z by name"),
        ("has zeros in front", lambda i: f"block {i % 977:05d} was written now"),
        ("is a time", lambda i: f"began at {i % 24:02d}:{i % 60:02d}:{i % 7:02d} there"),
        ("came too seldom", lambda i: f"temperature {i % 30} C now" if i % 100 == 0 else "nothing happened"),
        ("changes in the middle", lambda i: f"speaks to host 10.{1 + (i > LINES // 2)}.0.{i % 200} again"),
    ],
)
def test_what_is_not_sure_is_not_checked(name: str, line: Callable[[int], str], tmp_path: Path) -> None:
    checks, _, _ = learned(log_of(tmp_path / "a.log", line))
    if name == "changes in the middle":  # its first byte did not
        assert [check["usual"] for check in checks if check["kind"] == "networks"] in ([], [["10"]])
        checks = [check for check in checks if check["kind"] not in ("networks",)]
    assert checks == [], name


def test_few_values_of_many_blocks_are_a_closed_set() -> None:
    assert closed([["a", 500, 100], ["b", 400, 90]], 1e-3) is not None
    assert closed([["a", 500, 100], ["b", 400, 90], ["c", 1, 1]], 1e-3) is None  # one more may come
    assert closed([["a", 500, 100], ["b", 400, 3]], 1e-3) is None  # said often, at three times only
    likely, unlikely = closed([["a", 90, 20]], 1e-3), closed([["a", 900, 20]], 1e-3)
    assert likely is not None and unlikely is not None and likely < unlikely


def test_limits_lie_beyond_what_was_seen_and_farther_for_longer_tails() -> None:
    draw = np.random.default_rng(3)
    allowance = Allowance(events=1e-3, observations=100)

    def of(numbers: np.ndarray) -> tuple[int, int]:
        ordered = np.sort(numbers.astype(np.int64))
        low, _, high, _, nats = limits(
            len(ordered), ordered[:32].tolist(), ordered[::-1][:32].tolist(), allowance
        )
        assert low < ordered[0] and high > ordered[-1]
        assert nats == pytest.approx(np.log(len(ordered) / 1e-3))
        return low, high

    low, high = of(draw.uniform(1000, 2000, 5000))
    assert low == pytest.approx(500, abs=2)
    assert high == pytest.approx(3000, abs=5)
    assert 2_000 < of(1000 + draw.exponential(100, 5000))[1] < 100_000
    assert of(1000 * draw.pareto(1.0, 5000) + 1000)[1] > 10_000_000


def test_networks_are_named_as_people_do() -> None:
    assert network_text(10 << 32 | 22 << 16 | 7, 3) == "10.22.7"


def test_values_of_a_storm_are_found_and_normal_lines_pass(tmp_path: Path) -> None:
    normal, odd, truth = tmp_path / "n.log", tmp_path / "a.log", tmp_path / "t.jsonl"
    make(normal, count=60_000, eps=100_000, seed=5, form="iso", profile="system")
    make(
        odd,
        count=60_000,
        eps=100_000,
        seed=6,
        form="iso",
        profile="system",
        anomaly_rate=0.01,
        anomaly_kinds=("value_out_of_range",),
        truth=truth,
    )
    templates = mine([normal], "iso", 8192, 256)
    entry = values.learn([normal], "iso", templates, 60_000, ValuesConfig())
    assert entry is not None
    assert "false alarms" in describe(Other.model_validate(entry.section))
    judge = _core.ValueChecks("iso", _core.Matcher(templates), entry.files[values.FILE])
    data = odd.read_bytes()
    verdicts = judge.judge_log(data)
    assert (verdicts == judge.judge_log(data, one_by_one=True)).all()
    lines = data.splitlines()
    said = {session_of(lines[at]) for at in np.flatnonzero(verdicts)}
    episodes = [json.loads(line) for line in truth.read_text().splitlines()]
    whole = {episode["session"] for episode in episodes if episode["complete"]}
    assert said <= {episode["session"] for episode in episodes}
    assert len(whole & said) >= 0.8 * len(whole) > 20


def session_of(line: bytes) -> str:
    _, host, process = line.decode().split(" ")[:3]
    name, pid = process.rstrip(":").rstrip("]").split("[")
    return f"{host} {name} {pid}"


def test_a_check_says_what_the_engine_reads() -> None:
    check = Check(3, 1, "range", 20.0, skeleton="0", part=0, low=5, high=9)
    assert check.section(25.0) == {
        "log_key": 3, "step": 1, "kind": "range", "skeleton": "0", "part": 0, "low": 5, "high": 9,
        "low_slope": 0.0, "high_slope": 0.0, "nats": 25.0, "limit": 25.0,
    }  # fmt: skip
