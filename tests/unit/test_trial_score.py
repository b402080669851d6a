"""Alerts against episodes: what counts as found, and what as false."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from haechi.trial.records import Alert, Episode, RecordError, parse_time, read_alerts, read_episodes
from haechi.trial.score import KindScore, score
from haechi.trial.tables import print_alerts, print_score


def alert(session: str, time_s: float | None, **whole: object) -> Alert:
    return Alert(f"{session}@{time_s}", time_s, session, "deeplog", dict(whole))


def episode(session: str, first_s: float, last_s: float, kind: str = "step_skipped") -> Episode:
    return Episode(f"{session}@{first_s}", kind, None, session, first_s, last_s, 3)


EPISODES = [episode("a", 100, 110), episode("b", 200, 220, "failure_repeated"), episode("a", 500, 510)]

CASES = [
    # alerts, found, false sessions
    ([], 0, 0),
    ([("a", 100)], 1, 0),
    ([("a", 110)], 1, 0),
    ([("a", 119)], 1, 0),  # within the grace of 10 s
    ([("a", 121)], 0, 1),  # behind it: another life of the name
    ([("a", 99)], 0, 1),  # before it
    ([("a", 99.9997)], 1, 0),  # a log line has milliseconds only
    ([("a", 105), ("a", 106), ("a", 107)], 1, 0),  # once, however often
    ([("a", 105), ("a", 505)], 2, 0),  # the same name, two episodes
    ([("a", 105), ("a", 300)], 1, 1),
    ([("c", 105), ("c", 300), ("d", 1)], 0, 2),
    ([("a", None)], 2, 0),  # no time: the name alone
    ([("b", 201), ("a", 101), ("a", 501)], 3, 0),
]


@pytest.mark.parametrize(("alerts", "found", "false_sessions"), CASES)
def test_found_and_false(alerts: list[tuple[str, float | None]], found: int, false_sessions: int) -> None:
    result = score([alert(*one) for one in alerts], EPISODES, grace_s=10)
    assert (result.found, result.false_sessions) == (found, false_sessions)
    assert result.episodes == 3


def test_ratios_follow_from_the_counts() -> None:
    result = score([alert("a", 101), alert("b", 205), alert("x", 1)], EPISODES, grace_s=10)
    assert result.precision == pytest.approx(2 / 3)
    assert result.recall == pytest.approx(2 / 3)
    assert result.f1 == pytest.approx(2 / 3)
    assert result.kinds == {"failure_repeated": KindScore(1, 1), "step_skipped": KindScore(2, 1)}
    assert result.kinds["step_skipped"].recall == 0.5


def of_host(kind: str, host: str, first_s: float, last_s: float) -> Episode:
    return Episode(f"{host}@{first_s}", kind, None, "", first_s, last_s, 0, host)


@pytest.mark.parametrize(
    ("alerts", "found", "false_sessions"),
    [
        ([("a", 105), ("b", 205)], 1, 0),  # b's kind is left out: no hit, and not false
        ([("b", 205), ("b", 900)], 0, 1),
        ([("h1 sshd 5", 305)], 0, 0),  # on a host during its burst
        ([("h1 sshd 5", 330)], 0, 1),  # past the grace
        ([("h1 sshd 5", 299)], 0, 1),  # before it
        ([("h2 sshd 5", 395)], 0, 0),  # broken off by the silence that began at 400
        ([("h2 sshd 5", 385)], 0, 1),
        ([("h3 sshd 5", 305)], 0, 1),
    ],
)
def test_ignored_kinds_are_neither_hit_nor_missed_nor_false(
    alerts: list[tuple[str, float]], found: int, false_sessions: int
) -> None:
    episodes = [*EPISODES, of_host("message_burst", "h1", 300, 310), of_host("host_silence", "h2", 400, 450)]
    left_out = ("failure_repeated", "message_burst", "host_silence")
    result = score([alert(*one) for one in alerts], episodes, 10, left_out)
    assert (result.found, result.false_sessions, result.episodes) == (found, false_sessions, 2)
    assert result.ignored == {"failure_repeated": 1, "message_burst": 1, "host_silence": 1}
    assert result.kinds.keys() == {"step_skipped"}


def test_an_episode_of_a_host_is_found_by_an_alert_on_the_host() -> None:
    result = score([alert("h1 sshd 5", 305)], [of_host("message_burst", "h1", 300, 310)])
    assert (result.found, result.false_sessions) == (1, 0)


def test_what_is_left_out_is_shown() -> None:
    console = shown()
    print_score(score([], EPISODES, ignored_kinds=("failure_repeated",)), console)
    assert "left out, with the alerts on them: 1 failure repeated" in console.export_text()


def test_nothing_found_is_zero_and_not_an_error() -> None:
    result = score([], [])
    assert (result.precision, result.recall, result.f1) == (0, 0, 0)
    assert result.detect_quantile_s(0.5) is None


def test_time_to_detect_counts_from_the_first_event_to_the_first_alert() -> None:
    episodes = [episode(str(i), 1000 * i, 1000 * i + 500) for i in range(1, 101)]
    alerts = [alert(str(i), 1000 * i + delay) for i in range(1, 101) for delay in (i + 50, i)]
    result = score(alerts, episodes)
    assert result.detect_quantile_s(0.5) == 50
    assert result.detect_quantile_s(0.95) == 95
    assert result.detect_quantile_s(0.99) == 99
    assert result.as_json()["detect_p99_s"] == 99


ALERT = {"id": "1", "time": "2025-08-30T10:15:30.5Z", "session": "s", "detector": "deeplog"}
EPISODE = {
    "id": "e",
    "kind": "step_skipped",
    "technique": None,
    "session": "s",
    "host": "h",
    "first_time": "2025-08-30T10:15:30.123456789Z",
    "last_time": "2025-08-30T10:15:31Z",
    "events": 2,
}


def test_records_are_read(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(ALERT) + "\n\n" + json.dumps({**ALERT, "time": None, "session": None}) + "\n")
    first, second = read_alerts(path)
    assert (first.time_s, first.session) == (parse_time("2025-08-30T10:15:30.500+00:00"), "s")
    assert (second.time_s, second.session) == (None, "")
    path.write_text(json.dumps(EPISODE))
    (one,) = read_episodes(path)
    assert one.last_time_s - one.first_time_s == pytest.approx(0.876544, abs=1e-6)
    assert (one.host, one.complete) == ("h", True)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2: is not JSON"),
        ("[1]", "line 2: is not a JSON object"),
        ("{}", "line 2: is no alert: 'time' is missing"),
        (json.dumps({**ALERT, "time": "yesterday"}), "line 2: is no alert: "),
        (json.dumps({**ALERT, "time": 5}), "line 2: is no alert: "),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(ALERT) + "\n" + line + "\n")
    with pytest.raises(RecordError) as refused:
        read_alerts(path)
    assert str(refused.value).startswith(f"{path}: {complaint}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        read_episodes(tmp_path / "none")


def shown(width: int = 120) -> Console:
    return Console(record=True, width=width, force_terminal=False)


def test_the_score_is_shown() -> None:
    console = shown()
    print_score(score([alert("a", 101), alert("x", 1)], EPISODES), console)
    text = console.export_text()
    for part in ("step skipped", "failure repeated", "precision 0.5000", "recall 0.3333", "median 1.00 s"):
        assert part in text


def test_alerts_are_shown_gravest_first_and_never_act_on_the_terminal() -> None:
    console = shown()
    alerts = [
        alert("plain", 1, severity="low", reason="r", time="2025-08-30T10:15:30Z", lines=[{"text": "first"}]),
        alert("[b]x", 2, severity="critical", reason="\x1b[2J", time=None, lines=[{"text": "a\x1b[31mb"}]),
        alert("last", 3, severity="low"),
    ]
    print_alerts(alerts, shown=2, console=console)
    text = console.export_text()
    assert text.index("critical") < text.index("first")
    assert "[b]x" in text
    assert "\x1b" not in text
    assert "and 1 more" in text


def test_no_alerts_are_said_to_be_none() -> None:
    console = shown()
    print_alerts([], console=console)
    assert "No alerts" in console.export_text()
