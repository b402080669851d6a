"""The profiles that come with haechi: what they write in all forms, and that all their anomalies occur."""

import json
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from haechi.native import _core
from haechi.native.tools import ToolError, tool_path
from haechi.storm import profile as profiles
from haechi.storm.maker import make

NAMES = ("auth", "firewall", "system", "web")
LINES = 20_000
PRI = re.compile(rb"<(\d{1,3})>")

# ATT&CK's techniques that the profiles have to have between them, each with the profiles that fit it.
TECHNIQUES = {
    "T1110": NAMES,
    "T1136": NAMES,
    "T1070.002": NAMES,
    "T1053.003": ("auth", "system"),
    "T1499": NAMES,
    "T1078": NAMES,
    "T1190": NAMES,
    "T1595": ("firewall", "web"),
    "T1046": ("auth", "firewall", "system"),
}


@pytest.fixture(scope="module", autouse=True)
def tool() -> Path:
    try:
        return tool_path("haechi-storm")
    except ToolError as missing:
        pytest.skip(str(missing))


@cache
def loaded(name: str) -> profiles.Profile:
    return profiles.load(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_every_profile_has(name: str) -> None:
    profile = loaded(name)
    assert profile.name == name
    assert json.loads(profiles.render(profile))["name"] == name
    assert (profile.pids.first, profile.pids.count) == (1000, 31_000)
    assert sum(flow.share for flow in profile.flows) == pytest.approx(100, abs=0.5)
    for key, rules in profile.rules():
        assert len(rules) >= (1 if name == "system" and key == "failures" else 3), key
    techniques = [rule.technique for _, rules in profile.rules() for rule in rules if rule.technique]
    assert all(re.fullmatch(r"T\d{4}(\.\d{3})?", technique) for technique in techniques)
    for technique, where in TECHNIQUES.items():
        assert (name not in where) or any(t.startswith(technique) for t in techniques), technique


@pytest.mark.parametrize("name", ["auth", "firewall", "web"])
def test_nothing_in_a_profile_is_for_nothing(name: str) -> None:
    profile = loaded(name)
    said = "".join(profile.texts()) + "".join(rule.text for _, rules in profile.rules() for rule in rules)
    assert [v for v in profile.variables if f"{{{v}}}" not in said] == []
    assert set(profile.lists) == {flow.for_each for flow in profile.flows if flow.for_each}
    spoken = {flow.process for flow in profile.flows} | {rule.process for rule in profile.never}
    assert set(profile.processes) == spoken


def test_the_system_profile_is_what_its_issue_promises() -> None:
    system = loaded("system")
    assert (len(system.texts()), system.hosts.count) == (500, 1000)
    assert len(system.lists["unit"]) == 100
    assert system.line_bytes == [96, 260]


def pattern(profile: profiles.Profile, text: str, values: dict[str, str] | None = None) -> re.Pattern[bytes]:
    """What a text's messages look like; values stand for a variable's own."""
    alphabets = {"hex": "[0-9a-f]", "digits": "[0-9]", "lower": "[a-z]", "base64": "[A-Za-z0-9+/]"}
    parts = []
    for piece in re.split(r"(\{\{|\}\}|\{[a-z0-9_]+\})", text):
        if piece in ("{{", "}}"):
            parts.append(re.escape(piece[0]))
        elif not piece.startswith("{"):
            parts.append(re.escape(piece))
        elif values and piece[1:-1] in values:
            parts.append(values[piece[1:-1]])
        else:
            variable = profile.variables[piece[1:-1]]
            if variable.choice:
                parts.append("(?:" + "|".join(map(re.escape, variable.choice)) + ")")
            elif variable.random:
                parts.append(f"{alphabets[variable.random]}{{{variable.length}}}")
            else:
                parts.append(r"\d+" if variable.range else r"\d+\.\d+\.\d+\.\d+")
    return re.compile("".join(parts).encode())


class Recogniser:
    """Which of some texts a message is, by its first bytes and then by the whole."""

    def __init__(self, patterns: dict[Any, re.Pattern[bytes]]) -> None:
        self.patterns = patterns
        self.known: dict[bytes, Any] = {}

    def of(self, message: bytes) -> Any:
        shape = re.sub(rb"[0-9]+", b"0", message)
        likely = self.known.get(shape)
        if likely is not None and self.patterns[likely].fullmatch(message):
            return likely
        for name, each in self.patterns.items():
            if each.fullmatch(message):
                self.known[shape] = name
                return name
        return None


@pytest.mark.parametrize("form", ["iso", "rfc3164", "rfc5424"])
@pytest.mark.parametrize("name", NAMES)
def test_lines_are_read_as_they_were_written(tmp_path: Path, name: str, form: str) -> None:
    profile = loaded(name)
    made = make(tmp_path / "a.log", count=LINES, eps=5000, seed=3, form=form, profile=name)
    data = (tmp_path / "a.log").read_bytes()
    lines = data.splitlines()
    assert made.events == len(lines) == LINES
    assert _core.format_detect(data[:100_000].rpartition(b"\n")[0] + b"\n") == form
    records = _core.parse(data, form)
    assert not records["malformed"].any()
    assert {host[: len(profile.hosts.prefix)].decode() for host in records["fields"]["host"]} == {
        profile.hosts.prefix
    }
    speakers = {flow.process for flow in profile.flows}
    assert {process.decode() for process in records["fields"]["process"]} == speakers
    pids = {int(pid) for pid in records["fields"]["pid"]}
    assert min(pids) >= profile.pids.first
    assert max(pids) < profile.pids.first + profile.pids.count
    severities = profile.severities()
    facilities = {p: profiles.FACILITIES.index(about.facility) for p, about in profile.processes.items()}
    texts = Recogniser({key: pattern(profile, key[1]) for key in severities})
    for line, process, message in zip(lines, records["fields"]["process"], records["message"], strict=True):
        found = texts.of(message)
        assert found is not None, message
        pri = PRI.match(line)
        assert pri
        assert int(pri[1]) == facilities[process.decode()] * 8 + severities[found]
    if form == "iso":
        sizes = [len(line) for line in lines]
        assert min(sizes) >= profile.line_bytes[0]
        assert max(sizes) < profile.line_bytes[1]
        assert 135 < sum(sizes) / len(sizes) < 168


def episodes_of(truth: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in truth.read_text().splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_every_anomaly_of_a_session_occurs(tmp_path: Path, name: str) -> None:
    """Nearly all sessions are anomalous here, so that the rare rules come too."""
    profile = loaded(name)
    truth = tmp_path / "truth.jsonl"
    log = tmp_path / "a.log"
    make(log, count=2 * LINES, eps=50_000, seed=4, form="iso", profile=name, anomaly_rate=0.9, truth=truth)
    episodes = episodes_of(truth)
    assert {episode["kind"] for episode in episodes} == {
        "step_skipped",
        "steps_out_of_order",
        "failure_repeated",
        "never_seen_message",
        "value_out_of_range",
    }
    techniques = defaultdict(set)
    for episode in episodes:
        techniques[episode["kind"]].add(episode["technique"])
    assert techniques["never_seen_message"] == {rule.technique for rule in profile.never}
    assert techniques["failure_repeated"] == {rule.technique for rule in profile.failures}
    assert techniques["value_out_of_range"] == {rule.technique for rule in profile.values}
    messages = _core.parse(log.read_bytes(), "iso")["message"]
    never = {i: pattern(profile, rule.text) for i, rule in enumerate(profile.never)}
    texts = {text: pattern(profile, text) for text in profile.texts()}
    recogniser = Recogniser({**texts, **never})
    said = Counter(map(recogniser.of, messages))
    assert [profile.never[i].text for i in never if not said[i]] == []
    for rule in profile.values:
        other = pattern(profile, rule.text, {rule.variable: r"([^\s|]+)"})
        found = {match[1].decode() for match in map(other.fullmatch, messages) if match}
        outside = {value for value in found if not profile.variables[rule.variable].may_be(value)}
        if rule.choice:
            assert outside == set(rule.choice)
        else:
            low, high = rule.range or [0, 0]
            assert outside
            assert all(low <= int(value) <= high for value in outside)


@pytest.mark.parametrize("name", NAMES)
def test_every_burst_occurs_and_is_short_and_of_one_host(tmp_path: Path, name: str) -> None:
    profile = loaded(name)
    truth = tmp_path / "truth.jsonl"
    make(
        tmp_path / "a.log",
        count=24 * LINES,
        eps=50_000,
        seed=5,
        form="iso",
        profile=name,
        anomaly_kinds=["message_burst"],
        disturbance_events=2500,
        truth=truth,
    )
    records = _core.parse((tmp_path / "a.log").read_bytes(), "iso")
    patterns = [pattern(profile, rule.text) for rule in profile.bursts]
    seen = set()
    for episode in episodes_of(truth):
        assert episode["kind"] == "message_burst"
        window = range(episode["first_event"], episode["last_event"] + 1)
        host = episode["host"].encode()
        here = [i for i in window if records["fields"]["host"][i] == host]
        told = [
            k
            for k, rule in enumerate(profile.bursts)
            if rule.technique == episode["technique"]
            and sum(bool(patterns[k].fullmatch(records["message"][i])) for i in here) >= episode["events"]
        ]
        assert told, episode
        if episode["complete"]:
            most = max(profile.bursts[k].times[1] for k in told)
            assert min(profile.bursts[k].times[0] for k in told) <= episode["events"] <= most
        seen.update(told)
    assert seen == set(range(len(profile.bursts)))


def test_values_of_a_file_are_written(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("kim\n\n  lee minji\t\n\x1bpark\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(
        "{format: 1, name: mine, hosts: {prefix: a, count: 9}, pids: {first: 1, count: 99},"
        " processes: {app: {facility: user}}, variables: {user: {choice_file: names.txt}},"
        " flows: [{name: hello, process: app, share: 1, steps: [{text: 'hello {user}'}]}]}"
    )
    make(
        tmp_path / "a.log",
        count=300,
        eps=100,
        seed=1,
        form="iso",
        profile=tmp_path / "mine.yaml",
    )
    messages = set(_core.parse((tmp_path / "a.log").read_bytes(), "iso")["message"])
    assert messages == {b"hello kim", b"hello lee minji", b"hello park"}
