"""Made logs: the shares and sizes of the system profile, labels that hold, the same bytes for a seed."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from haechi.native.tools import ToolError, tool_path
from haechi.storm import profile as profiles
from haechi.storm.maker import MakeError, make

try:
    tool_path("haechi-storm")
except ToolError as missing:
    pytest.skip(str(missing), allow_module_level=True)

HEAD = re.compile(
    r"<(\d{1,3})>(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (server\d+) ([A-Za-z]+)(?:\[(\d+)\])?: (.+)"
)

# What of 100 lines each has to be, within 2.
SHARES = {
    r" systemd\[\d+\]: Starting ": 20,
    r" systemd\[\d+\]: Started ": 15,
    r" systemd\[\d+\]: Stopping ": 5,
    r"Starting ": 20,
    r"Started ": 15,
    r"Stopping ": 5,
    r" kernel\[\d+\]: .*temperature": 15,
    r" kernel\[\d+\]: .*[Oo]ut of memory": 5,
    r" kernel\[\d+\]: .*[Ll]ink (is )?[Uu]p": 5,
    r" kernel\[\d+\]: ": 25,
    r"Accepted": 15,
    r"Failed": 5,
    r" sshd\[": 20,
    r" cron\[": 8,
    r" rsyslogd\[": 4,
    r" NetworkManager\[": 3,
}


def made(folder: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {"count": 20_000, "eps": 10_000, "seed": 1, "form": "iso", "profile": "system"}
    make(folder / "made.log", **{**settings, **changes})
    return folder / "made.log"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("seed", [1, 20250830])
def test_shares_and_sizes_of_the_system_profile(tmp_path: Path, seed: int) -> None:
    lines = made(tmp_path, count=200_000, eps=100_000, seed=seed).read_text().splitlines()
    assert len(lines) == 200_000
    for pattern, wanted in SHARES.items():
        matches = re.compile(pattern).search
        share = 100 * sum(matches(line) is not None for line in lines) / len(lines)
        assert abs(share - wanted) < 2, (pattern, share)
    sizes = [len(line) for line in lines]
    assert min(sizes) >= 96
    assert max(sizes) < 260
    assert 147 < sum(sizes) / len(sizes) < 152
    heads = [HEAD.fullmatch(line) for line in lines]
    assert all(heads)
    groups = [head.groups() for head in heads if head]
    assert len({host for _, _, host, *_ in groups}) == 1000
    assert len({pid for *_, pid, _ in groups if pid}) == 31_000
    assert [g[1] for g in groups] == sorted(g[1] for g in groups)


def test_every_text_is_used(tmp_path: Path) -> None:
    system = profiles.load("system")
    left = {re.compile(re.sub(r"\\{[a-z_]+\\}", ".+", re.escape(text)) + "$") for text in system.texts()}
    plain = {line.split(": ", 1)[1] for line in made(tmp_path, count=100_000).read_text().splitlines()}
    by_start: dict[str, list[str]] = {}
    for message in plain:
        by_start.setdefault(message[:3], []).append(message)
    unused = []
    for pattern in left:
        start = re.match(r"[A-Za-z]{3}", pattern.pattern)
        where = by_start.get(start.group(), []) if start else list(plain)
        if not any(pattern.match(message) for message in where):
            unused.append(pattern.pattern)
    assert unused == []


@pytest.mark.parametrize("form", ["iso", "rfc3164", "rfc5424"])
def test_same_seed_same_bytes(tmp_path: Path, form: str) -> None:
    first = sha256(made(tmp_path, form=form, anomaly_rate=0.01))
    assert sha256(made(tmp_path, form=form, anomaly_rate=0.01)) == first
    assert sha256(made(tmp_path, form=form, anomaly_rate=0.01, seed=2)) != first


def test_standard_output_is_what_a_file_gets(tmp_path: Path) -> None:
    path = made(tmp_path, count=30_000)
    rendered = tmp_path / "system.json"
    rendered.write_text(profiles.render(profiles.load("system")))
    command = [str(tool_path("haechi-storm")), "--profile", str(rendered), "--count", "30k", "--eps", "10k"]
    command += ["-o", "-"]
    assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout == path.read_bytes()


def test_a_longer_log_begins_like_a_shorter_one(tmp_path: Path) -> None:
    short = made(tmp_path, count=1000).read_bytes()
    assert made(tmp_path, count=5000).read_bytes().startswith(short)


FORMS = {
    "iso": r"<\d{1,3}>2025-08-30T10:15:3\d\.\d{3}Z server\d+ [A-Za-z]+(\[\d+\])?: .+",
    "rfc3164": r"<\d{1,3}>Aug 30 10:15:3\d server\d+ [A-Za-z]+(\[\d+\])?: .+",
    "rfc5424": r"<\d{1,3}>1 2025-08-30T10:15:3\d\.\d{6}Z server\d+ [A-Za-z]+ (\d+|-) [!-~]+ (-|\[.+?\]) .+",
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path: Path, form: str) -> None:
    pattern = re.compile(FORMS[form])
    lines = made(tmp_path, form=form).read_text().splitlines()
    assert [line for line in lines if not pattern.fullmatch(line)] == []


def session(line: str) -> str:
    head = HEAD.fullmatch(line)
    assert head
    return " ".join(part for part in head.group(3, 4, 5) if part)


def test_labels_hold(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    lines = made(tmp_path, count=50_000, anomaly_rate=0.02, truth=truth).read_text().splitlines()
    episodes = [json.loads(line) for line in truth.read_text().splitlines()]
    kinds = Counter(episode["kind"] for episode in episodes)
    assert set(kinds) == {
        "step_skipped",
        "steps_out_of_order",
        "failure_repeated",
        "never_seen_message",
        "value_out_of_range",
    }
    assert len({episode["id"] for episode in episodes}) == len(episodes) > 200
    never = [
        re.compile(".+: " + re.sub(r"\\{[a-z_]+\\}", ".+", re.escape(rule.text)))
        for rule in profiles.load("system").never
    ]
    by_session: dict[str, list[int]] = {}
    for i, line in enumerate(lines):
        by_session.setdefault(session(line), []).append(i)
    labelled = set()
    for episode in episodes:
        first, last = episode["first_event"], episode["last_event"]
        events = [i for i in by_session[episode["session"]] if first <= i <= last]
        assert len(events) == episode["events"]
        assert (events[0], events[-1]) == (episode["first_event"], episode["last_event"])
        times = [HEAD.fullmatch(lines[i]).group(2) for i in (events[0], events[-1])]  # type: ignore[union-attr]
        assert times == [episode["first_time"], episode["last_time"]]
        assert episode["host"] == episode["session"].split(" ")[0]
        if episode["complete"] and episode["kind"] == "failure_repeated":
            assert episode["technique"] == "T1110"
            assert 8 <= sum("Failed password" in lines[i] for i in events) <= 20
        said = any(pattern.fullmatch(lines[i]) for pattern in never for i in events)
        if episode["complete"]:
            assert said == (episode["kind"] == "never_seen_message")
        labelled.update(events)
    rest = [line for i, line in enumerate(lines) if i not in labelled]
    assert not any(pattern.fullmatch(line) for pattern in never for line in rest)


def test_labels_do_not_depend_on_the_form(tmp_path: Path) -> None:
    truths = []
    for form in FORMS:
        made(tmp_path, form=form, anomaly_rate=0.02, truth=tmp_path / form)
        truths.append((tmp_path / form).read_bytes())
    assert truths[0]
    assert truths[0] == truths[1] == truths[2]


def test_an_interrupted_log_has_whole_lines_and_its_truth(tmp_path: Path) -> None:
    rendered = tmp_path / "system.json"
    rendered.write_text(profiles.render(profiles.load("system")))
    log, truth = tmp_path / "made.log", tmp_path / "truth.jsonl"
    command = [str(tool_path("haechi-storm")), "--profile", str(rendered), "--count", "1G", "--json"]
    command += ["--anomaly-rate", "0.01", "--truth", str(truth), "-o", "-"]
    with log.open("wb") as stdout, subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE) as tool:
        while log.stat().st_size < 2_000_000 and tool.poll() is None:
            time.sleep(0.01)
        tool.send_signal(signal.SIGTERM)
        report = json.loads(tool.communicate(timeout=10)[1])
    assert tool.returncode == 0
    assert report["interrupted"] is True
    text = log.read_bytes()
    assert text.endswith(b"\n")
    assert text.count(b"\n") == report["events"]
    episodes = [json.loads(line) for line in truth.read_text().splitlines()]
    assert len(episodes) == report["episodes"]
    assert max(episode["last_event"] for episode in episodes) < report["events"]
    assert any(not episode["complete"] for episode in episodes)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--profile is needed"),
        (["--profile", "PROFILE"], "--target or --output is needed"),
        (["--profile", "PROFILE", "-o", "-"], "--count or --duration is needed with an output"),
        (
            ["--profile", "PROFILE", "-o", "-", "--count", "0"],
            'count: "0" is not a whole number from 1',
        ),
        (["--profile", "PROFILE", "-o", "-", "--count", "1.5"], 'count: "1.5"'),
        (
            ["--profile", "PROFILE", "-o", "-", "--count", "1", "--eps", "-3"],
            'eps: "-3" is not a number from 0.001',
        ),
        (
            ["--profile", "PROFILE", "-o", "-", "--count", "1", "--form", "cef"],
            'form: "cef" is not one of iso',
        ),
        (
            ["--profile", "PROFILE", "-o", "-", "--count", "1", "--start", "today"],
            'start: "today" is not a UTC time',
        ),
        (["--profile", "PROFILE", "-o", "-", "--count", "1", "--anomaly-rate", "2"], 'anomaly_rate: "2"'),
        (["--profile", "PROFILE", "-o", "-", "--count", "1", "more"], '"more" belongs to no option'),
        (["--profile", "/nonexistent", "-o", "-", "--count", "1"], "/nonexistent: cannot be read"),
        (["--profile", "/dev/null", "-o", "-", "--count", "1"], "/dev/null: profile: not JSON text"),
        (["--config", "/dev/null"], "/dev/null: not a JSON object"),
    ],
)
def test_wrong_usage_is_refused_with_a_sentence(tmp_path: Path, arguments: list[str], says: str) -> None:
    rendered = tmp_path / "system.json"
    rendered.write_text(profiles.render(profiles.load("system")))
    command = [a.replace("PROFILE", str(rendered)) for a in arguments]
    done = subprocess.run([tool_path("haechi-storm"), *command], capture_output=True, text=True)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_what_cannot_be_written_fails_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MakeError, match="cannot be written"):
        made(tmp_path / "nowhere")
    if os.path.exists("/dev/full"):
        with pytest.raises(MakeError, match="/dev/full: writing failed"):
            make(Path("/dev/full"), count=10, eps=1, seed=1, form="iso", profile="system")


def test_help_shows_an_example() -> None:
    done = subprocess.run([tool_path("haechi-storm"), "--help"], capture_output=True, text=True, check=True)
    assert "haechi-storm --profile system.json --count 2M" in done.stdout
