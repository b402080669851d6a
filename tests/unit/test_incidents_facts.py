"""What is read out of an alert and its line."""

from __future__ import annotations

import pytest

from haechi.incidents.facts import facts_of
from tests.unit.incident_room import alert, burst
from tests.unit.test_incidents_grouping import grouped


@pytest.mark.parametrize(
    ("line", "host", "program", "source", "user"),
    [
        (
            "<86>2025-08-30T10:15:30.005Z server669 sshd[31838]: Accepted publickey for deploy "
            "from 10.151.149.83 port 23 ssh2",
            "server669",
            "sshd",
            "10.151.149.83",
            "deploy",
        ),
        (
            "Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user webmaster from 173.234.31.186",
            "LabSZ",
            "sshd",
            "173.234.31.186",
            "webmaster",
        ),
        (
            "Dec 10 06:55:46 LabSZ sshd[24200]: pam_unix(sshd:auth): auth failure; logname= uid=0 euid=0 "
            "tty=ssh ruser= rhost=173.234.31.186 ",
            "LabSZ",
            "sshd",
            "173.234.31.186",
            "",
        ),
        (
            "Dec  1 06:55:46 h sshd[1]: Connection closed by authenticating user root "
            "2001:db8::7 port 22 [preauth]",
            "h",
            "sshd",
            "2001:db8::7",
            "root",
        ),
        (
            "Dec  1 06:55:46 h sshd[1]: reverse mapping checking getaddrinfo for x.example [1.2.3.4] failed",
            "h",
            "sshd",
            "1.2.3.4",
            "",
        ),
        (
            "Dec  1 06:55:46 h kernel: DROP IN=eth0 SRC=192.0.2.9 DST=192.0.2.1",
            "h",
            "kernel",
            "192.0.2.9",
            "",
        ),
        ("Dec  1 06:55:46 h app: from 10:15:30 on it is quiet", "h", "app", "", ""),
        ("Dec  1 06:55:46 h app: rhost=evil.example user=root", "h", "app", "evil.example", "root"),
        (
            "081109 203518 143 INFO dfs.DataNode: src: /10.250.19.102:54106 dest: /10.250.19.1:50010",
            "",
            "",
            "10.250.19.102",
            "",
        ),
        ("no header, nothing", "", "", "", ""),
        ("", "", "", "", ""),
    ],
)
def test_names_in_lines(line: str, host: str, program: str, source: str, user: str) -> None:
    facts = facts_of(alert(0, line))
    assert (facts.host, facts.program, facts.source, facts.user) == (host, program, source, user)


def test_a_line_without_a_template_is_of_its_shape() -> None:
    one, other = (
        facts_of(alert(0, f"<3>2026-01-05T00:00:00Z h k: disk {n} fails")) for n in ("sda1", "sdb22")
    )
    assert one.kind == other.kind == "disk <*> fails"


def test_a_burst_is_of_its_host() -> None:
    facts = facts_of(burst(1, "h7", template="drop <*>"))
    assert (facts.host, facts.kind, facts.wide) == ("h7", "drop <*>", True)


@pytest.mark.parametrize(
    ("of", "named"),
    [({"detector": "deeplog", "rule": None}, "deeplog"), ({"detector": "rule", "rule": "r7"}, "r7")],
)
def test_a_flood_is_of_who_makes_it(of: dict[str, object], named: str) -> None:
    flood = alert(1, None, detector="flood", rule="flood", evidence=None, detail=of)
    assert facts_of(flood).kind == f"more alerts of {named} than are written"
    assert grouped([flood, alert(2, None, detector="flood", rule="flood", detail=of)]) == [[0, 1]]


def test_time_is_in_microseconds() -> None:
    assert facts_of(alert(1.5)).at_us == 1_767_571_201_500_000
    assert facts_of(alert(None)).at_us is None


def test_a_detail_wins_over_the_line() -> None:
    line = "<86>2026-01-05T00:00:00Z h sshd[1]: Accepted password for a from 10.0.0.1 port 2"
    facts = facts_of(
        alert(0, line, detector="values", detail={"source": "10.9.9.9", "user": "b", "host": "g"})
    )
    assert (facts.source, facts.user, facts.host) == ("10.9.9.9", "b", "g")


@pytest.mark.parametrize(
    ("value", "source"), [("10.7.7.7", "10.7.7.7"), ("10.7.7.7:80", "10.7.7.7"), ("7", ""), ("a.b.c.d", "")]
)
def test_an_unusual_address_is_a_source(value: str, source: str) -> None:
    facts = facts_of(alert(0, "no header", detector="values", rule="rare_value", detail={"value": value}))
    assert facts.source == source


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"id": "1"},
        {**alert(0), "time": "yesterday"},
        {**alert(0), "time": "2026-01-05T00:00:00"},
        {**alert(0), "time": 5},
        {**alert(0), "evidence": "much"},
        {**alert(0), "lines": [7]},
        {**alert(0), "detectors": [{"name": "deeplog"}]},
        {**alert(0), "detectors": 7},
    ],
)
def test_what_is_no_alert_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is no alert"):
        facts_of(broken)
