"""Which alerts are of one incident, and when it is raised."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haechi.config.incidents import IncidentsConfig, RaiseConfig
from haechi.incidents.grouping import Grouping
from haechi.incidents.incident import COUNTED_MAX, Incident
from tests.unit.incident_room import alert, burst, guess, said

K = "Accepted key <*> found at <*>"
DISK = "disk <*> is full"


def grouped(alerts: Iterable[dict[str, Any]], **config: Any) -> list[list[int]]:
    """For each incident, in the order of their beginning, which of the alerts it has."""
    grouping = Grouping(IncidentsConfig(**config))
    found: dict[str, list[int]] = {}
    for number, one in enumerate(alerts):
        found.setdefault(grouping.take(one).id, []).append(number)
    return list(found.values())


def disk(at: float, host: str, pid: int = 1, **more: Any) -> dict[str, Any]:
    return said(at, host, "app", pid, f"disk {pid} is full", template=DISK, **more)


def counts(at: float, rule: str, *templates: str) -> dict[str, Any]:
    detail = {"series": [{"template": template} for template in templates]}
    return alert(at, "", detector="mscred", rule=rule, detail=detail)


CASES: dict[str, tuple[list[dict[str, Any]], list[list[int]]]] = {
    "one session": (
        [said(0, "h1", "a", 1, "x", template="x"), said(9, "h1", "a", 1, "y", template="y")],
        [[0, 1]],
    ),
    "a session without a host": (
        [alert(0, "x", session="blk_1", template="x"), alert(200, "y", session="blk_1", template="y")],
        [[0, 1]],
    ),
    "a source, many sessions and hosts": (
        [guess(n, "10.0.0.9", n, f"h{n % 3}") for n in range(20)],
        [list(range(20))],
    ),
    "two sources at one host": (
        [guess(n, f"10.0.0.{n % 2}", n) for n in range(6)],
        [[0, 2, 4], [1, 3, 5]],
    ),
    "a host and a kind": ([disk(0, "h1", 1), disk(200, "h1", 2)], [[0, 1]]),
    "a host and a kind, too late": ([disk(0, "h1", 1), disk(301, "h1", 2)], [[0], [1]]),
    "a program of a host": (
        [said(0, "h1", "a", 1, "x", template="x"), said(9, "h1", "a", 2, "y", template="y")],
        [[0, 1]],
    ),
    "another program of the host": (
        [said(0, "h1", "a", 1, "x", template="x"), said(9, "h1", "b", 2, "y", template="y")],
        [[0], [1]],
    ),
    "one kind on many hosts at once": ([disk(n, f"h{n}") for n in range(5)], [[0, 1, 2, 3, 4]]),
    "one kind on another host, later": ([disk(0, "h1"), disk(61, "h2")], [[0], [1]]),
    "one new line on many hosts": (
        [
            said(n, f"h{n}", "k", 1, f"bad page {n}", detector="new_event", rule="no_template", evidence=None)
            for n in range(4)
        ],
        [[0, 1, 2, 3]],
    ),
    "a burst after its alerts": ([disk(0, "h1"), burst(5, "h1"), disk(6, "h2")], [[0, 1, 2]]),
    "a burst before its alerts": ([burst(0, "h1"), disk(5, "h1"), disk(6, "h1", 2)], [[0, 1, 2]]),
    "a burst that knows its kind": (
        [burst(0, "h1", template=DISK), said(5, "h1", "a", 1, "x", template="x"), disk(6, "h1")],
        [[0, 2], [1]],
    ),
    "a burst at another host": ([burst(0, "h2"), disk(5, "h1")], [[0], [1]]),
    "a guessing source makes a burst": (
        [guess(0, "10.0.0.9", 1), burst(1, "h1"), guess(2, "10.0.0.9", 2)],
        [[0, 1, 2]],
    ),
    "mscred and its kinds": (
        [
            counts(0, "counts_short", DISK, K),
            disk(5, "h1"),
            said(6, "h2", "a", 1, "x", template="x"),
        ],
        [[0, 1], [2]],
    ),
    "mscred after its kinds": (
        [disk(0, "h1"), counts(5, "counts_long", DISK)],
        [[0, 1]],
    ),
    "a rule on many hosts": (
        [
            said(n, f"h{n}", "sudo", 1, f"text {n}", detector="rule", rule="no_root", template=f"t{n}")
            for n in range(3)
        ],
        [[0, 1, 2]],
    ),
    "two rules for one technique": (
        [
            said(0, "h1", "sudo", 1, "x", detector="rule", rule="one", tags=["status.test", "attack.t1548"]),
            said(9, "h1", "su", 2, "y", detector="rule", rule="other", tags=["attack.t1548"]),
            said(9, "h1", "cron", 2, "y", detector="rule", rule="third", tags=["attack.t1053"]),
        ],
        [[0, 1], [2]],
    ),
    "a user of a host": (
        [
            said(0, "h1", "su", 1, "session opened for user eve", template="x"),
            said(9, "h1", "sudo", 2, "command by user eve", template="y"),
        ],
        [[0, 1]],
    ),
    "no time": ([alert(None, "x", session="s"), alert(None, "x", session="s")], [[0, 1]]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_belongs_together(name: str) -> None:
    alerts, expected = CASES[name]
    assert grouped(alerts) == expected


def test_no_chain_joins_what_has_no_cause_in_common() -> None:
    """Kind A on h1; then program a of h1, kind B; then kind B on h2: that is another thing."""
    alerts = [
        said(0, "h1", "a", 1, "x", template="A"),
        said(1, "h1", "a", 2, "x", template="B"),
        said(2, "h2", "b", 3, "x", template="B"),
    ]
    assert grouped(alerts) == [[0, 1], [2]]


def test_sources_can_be_left_out() -> None:
    alerts = [guess(n, f"10.0.0.{n % 2}", n) for n in range(6)]
    assert grouped(alerts, by_source=False) == [[0, 1, 2, 3, 4, 5]]


def test_an_incident_that_is_quiet_is_closed() -> None:
    changes: list[tuple[str, str]] = []
    grouping = Grouping(IncidentsConfig(), lambda change, one: changes.append((change, one.id)))
    first = grouping.take(disk(0, "h1"))
    grouping.take(disk(601, "h2"))
    assert (first.state, grouping.open, grouping.closed) == ("closed", 1, 1)
    assert [change for change, _ in changes] == ["opened", "closed", "opened"]


def test_one_wrong_date_closes_nothing() -> None:
    grouping = Grouping(IncidentsConfig())
    first = grouping.take(disk(0, "h1"))
    grouping.take(disk(1e9, "h2"))
    assert grouping.take(disk(2, "h1")) is first
    assert first.state == "open"


def test_two_far_dates_in_a_row_are_where_the_log_stands() -> None:
    grouping = Grouping(IncidentsConfig())
    first = grouping.take(disk(0, "h1"))
    grouping.take(disk(1e6, "h2"))
    grouping.take(disk(1e6 + 1, "h2"))
    assert first.state == "closed"


RAISED: list[tuple[dict[str, Any], list[dict[str, Any]], bool]] = [
    ({}, [disk(0, "h1")], False),
    ({}, [disk(0, "h1", severity="high")], True),
    ({}, [disk(0, "h1", evidence=61)], True),
    ({}, [disk(0, "h1", severity="low", agree={"deeplog": 20.0, "counts": 18.0})], True),
    ({}, [disk(0, "h1", severity="low"), burst(1, "h1")], True),
    ({}, [disk(n, "h1", n) for n in range(9)], False),
    ({}, [disk(n, "h1", n) for n in range(10)], True),
    ({"raised": RaiseConfig(detectors=3, severity="critical")}, [disk(0, "h1", severity="high")], False),
    ({"raised": RaiseConfig(alerts=2)}, [disk(0, "h1"), disk(1, "h1")], True),
]


@pytest.mark.parametrize(("config", "alerts", "raised"), RAISED)
def test_what_is_raised(config: dict[str, Any], alerts: Sequence[Any], raised: bool) -> None:
    grouping = Grouping(IncidentsConfig(**config))
    incidents = {id(one): one for one in map(grouping.take, alerts)}
    assert [one.raised for one in incidents.values()] == [raised]
    assert grouping.raised == raised


def test_detectors_that_agree_raise_the_severity() -> None:
    grouping = Grouping(IncidentsConfig())
    one = grouping.take(disk(0, "h1", severity="high"))
    severities = [one.severity]
    grouping.take(burst(1, "h1"))
    assert [*severities, one.severity] == ["high", "critical"]
    assert one.by_strength() == ["deeplog", "rates"]


def test_the_same_cause_cools_down() -> None:
    told: list[tuple[str, float]] = []
    grouping = Grouping(IncidentsConfig(), lambda change, one: told.append((change, one.first_us or 0)))
    for minutes in (0, 15, 30, 75):
        grouping.take(disk(minutes * 60, "h1", severity="high"))
    assert [change for change, _ in told if change == "raised"] == ["raised", "raised"]
    assert (grouping.opened, grouping.raised, grouping.held_back) == (4, 2, 2)


def test_what_is_worse_does_not_wait() -> None:
    grouping = Grouping(IncidentsConfig())
    grouping.take(disk(0, "h1", severity="high"))
    assert grouping.take(disk(900, "h1", severity="critical")).raised


def test_an_incident_that_gets_worse_says_so() -> None:
    told: list[str] = []
    grouping = Grouping(IncidentsConfig(), lambda change, one: told.append(change))
    grouping.take(disk(0, "h1", severity="high"))
    grouping.take(disk(1, "h1", severity="critical"))
    grouping.take(disk(2, "h1", severity="critical"))
    assert told == ["opened", "raised", "worse"]


def test_memory_is_bounded() -> None:
    config = IncidentsConfig(max_open=5, names_kept=3, alerts_kept=4)
    grouping = Grouping(config)
    one = None
    for n in range(COUNTED_MAX + 50):
        one = grouping.take(guess(n / 1000, "10.0.0.9", n))
    assert one is not None
    view = one.view()
    assert one.count == COUNTED_MAX + 50
    assert len(view["sessions"]["names"]) == 3
    assert view["sessions"]["at_least"]
    assert len(view["alerts"]) == 4
    for n in range(50):
        grouping.take(guess(6, f"10.1.0.{n}", n, "h2"))
    assert grouping.open == 5
    assert grouping._leads.keys() <= {
        key for held in grouping._open.values() for key in (*held.own, *held.later)
    }


def test_a_sentence_names_the_source() -> None:
    grouping = Grouping(IncidentsConfig())
    one = None
    for n in range(231):
        one = grouping.take(guess(n / 10, "10.0.0.9", n))
    assert one is not None
    assert one.summary() == (
        "Source 10.0.0.9: 231 alerts in 231 sessions on h1 within 23 s: "
        '"Failed password for invalid user <*> from <*> port <*> ssh2"; deeplog speaks.'
    )


def test_a_burst_of_alerts_is_one_incident_whatever_else_happens() -> None:
    alerts = [guess(n / 100, "10.0.0.9", n) for n in range(2000)] + [
        disk(n / 2, f"h{n % 7}", n) for n in range(40)
    ]
    alerts.sort(key=lambda one: one["time"])
    grouping = Grouping(IncidentsConfig())
    found = {id(one): one for one in map(grouping.take, alerts)}
    assert max(one.count for one in found.values()) == 2000
    assert sum(one.count for one in found.values()) == 2040


def state(incidents: Iterable[Incident]) -> dict[str, Any]:
    return {one.id: one.view() for one in incidents}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_causes_that_have_nothing_in_common_do_not_disturb_each_other(data: st.DataObject) -> None:
    """However the alerts of different hosts, programs and kinds are interleaved, in the order of their times:
    the incidents are the same."""
    groups = []
    for group in range(data.draw(st.integers(1, 4))):
        times = sorted(data.draw(st.lists(st.integers(0, 1500), min_size=1, max_size=12)))
        severities = st.sampled_from(["low", "high"])
        groups.append(
            [
                said(
                    t,
                    f"host-{group}",
                    f"p{group}",
                    n % 3,
                    f"m {n}",
                    template=f"T{group}",
                    severity=data.draw(severities),
                )
                for n, t in enumerate(times)
            ]
        )
    alone: dict[str, Any] = {}
    for one in groups:
        grouping = Grouping(IncidentsConfig())
        alone |= state({id(found): found for found in map(grouping.take, one)}.values())
    seed = data.draw(st.integers(0, 1000))
    draw = random.Random(seed)
    place = {alert_["id"]: (alert_["time"], draw.random()) for one in groups for alert_ in one}
    merged: list[dict[str, Any]] = []
    heads = [list(one) for one in groups]
    while any(heads):
        least = min((one for one in heads if one), key=lambda one: place[one[0]["id"]])
        merged.append(least.pop(0))
    together = Grouping(IncidentsConfig())
    found = state({id(one): one for one in map(together.take, merged)}.values())
    for views in (alone, found):
        for view in views.values():
            del view["state"]  # what is closed depends on how far the whole log goes
    assert found == alone


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 3), st.booleans()), max_size=40))
def test_the_same_alerts_give_the_same_incidents(plan: list[tuple[int, int, bool]]) -> None:
    """In any order, and nothing is lost or counted twice."""
    alerts = [
        guess(at, f"10.0.0.{who}", n) if guesses else disk(at, f"h{who}", n)
        for n, (at, who, guesses) in enumerate(plan)
    ]
    runs = []
    for _ in range(2):
        grouping = Grouping(IncidentsConfig())
        whole = list({id(found): found for found in map(grouping.take, alerts)}.values())
        assert sum(one.count for one in whole) == len(alerts)
        runs.append([one.view() for one in whole])
    assert runs[0] == runs[1]
