"""Profiles: the one that comes with haechi, and what is said about mistakes in one."""

import json
from pathlib import Path

import pytest
import yaml

from haechi.storm import profile as profiles

GOOD = """\
format: 1
name: small
hosts: {prefix: node, count: 40}
pids: {first: 95, count: 500}
line_bytes: [40, 200]
processes:
  app: {facility: daemon}
  kernel: {facility: kern, pid: false}
variables:
  user: {choice: [kim, lee]}
  n: {scope: line, range: [1, 99]}
  ip: {ipv4: 10.0.0.0/8}
  id: {random: hex, length: 8}
lists:
  part: [disk, 'net {n}']
flows:
  - name: request
    process: app
    for_each: part
    share: 2
    steps:
      - {text: 'begin {part} {user} {{x}}'}
      - severity: notice
        texts: ['end {part} {ip}', 'left {part} {id}']
  - name: heat
    process: kernel
    share: 1
    steps: [{text: 'hot {n}'}]
never:
  - {process: app, technique: T1136, text: 'odd {n}'}
failures:
  - {process: app, text: 'begin disk {user} {{x}}', times: [3, 5]}
"""


def test_system_profile_is_what_its_issue_promises() -> None:
    system = profiles.load("system")
    texts = system.texts()
    assert (len(texts), system.hosts.count, system.pids.count) == (500, 1000, 10_000)
    assert len(system.lists["unit"]) == 100
    assert system.line_bytes == [96, 260]
    assert not {never.text for never in system.never} & set(texts)


def test_rendering_expands_lists_and_numbers() -> None:
    rendered = json.loads(profiles.render(profiles.parse(GOOD, "good.yaml")))
    assert [flow["name"] for flow in rendered["flows"]] == ["request", "request", "heat"]
    assert [flow["share"] for flow in rendered["flows"]] == [1, 1, 1]
    assert rendered["flows"][1]["steps"][1] == {
        "severity": 5,
        "texts": ["end net {n} {ip}", "left net {n} {id}"],
    }
    assert rendered["processes"][1] == {
        "name": "kernel",
        "facility": 0,
        "pid": False,
        "msgid": "-",
        "structured_data": "-",
    }
    assert rendered["never"] == [{"process": "app", "severity": 6, "technique": "T1136", "text": "odd {n}"}]


def test_rendering_is_the_same_every_time() -> None:
    assert profiles.render(profiles.load("system")) == profiles.render(profiles.load("system"))


MISTAKES = [
    ("count: 40", "count: 0", 3, "hosts.count: input should be greater than or equal to 1 (it is 0)"),
    ("count: 40", "count: many", 3, "hosts.count"),
    ("prefix: node", "prefix: 'no de'", 3, "hosts.prefix"),
    ("name: small", "nome: small", 2, "nome: is no key that is known here"),
    ("pids: {first: 95, count: 500}", "", 1, "pids: is missing"),
    ("facility: daemon", "facility: demon", 7, "processes.app.facility: 'demon' is none of kern, user"),
    ("choice: [kim, lee]", "choice: []", 10, "variables.user.choice"),
    ("choice: [kim, lee]", 'choice: ["\\x07"]', 10, "variables.user.choice[0]"),
    ("choice: [kim, lee]", "scope: line", 10, "variables.user: has none of choice, choice_file, range"),
    ("range: [1, 99]", "range: [99, 1]", 11, "variables.n: range: 99 is above 1"),
    ("range: [1, 99]", "range: [1, 100000000]", 11, "variables.n.range[1]"),
    ("range: [1, 99]", "range: [1, 99], choice: [a]", 11, "has choice and range"),
    ("10.0.0.0/8", "10.0.0.0/12", 12, "variables.ip.ipv4"),
    ("10.0.0.0/8", "10.999.0.0/8", 12, "is no address"),
    (", length: 8", "", 13, "length and random need each other"),
    ("for_each: part", "for_each: parts", 19, "flows[0].for_each: 'parts' is none of the lists part"),
    (
        "process: app\n    for",
        "process: ape\n    for",
        18,
        "flows[0].process: 'ape' is none of the processes",
    ),
    ("share: 2", "share: -2", 20, "flows[0].share"),
    ("begin {part}", "begin {port}", 22, "flows[0].steps[0].text: {port} is none of the variables user, n"),
    ("{{x}}'}\n", "{{x}'}\n", 22, "a brace that stands for itself is written twice"),
    ("left {part} {id}", "left {ids}", 24, "flows[0].steps[1].texts[1]"),
    ("severity: notice", "severity: loud", 23, "flows[0].steps[1].severity"),
    ("[{text: 'hot {n}'}]", "[{severity: info}]", 28, "needs either text or texts"),
    ("[{text: 'hot {n}'}]", "[]", 28, "flows[1].steps"),
    ("[40, 200]", "[60, 200]", 28, "flows[1].steps[0].text: its iso lines take"),
    ("T1136", "ATT&CK", 30, "never[0].technique"),
    ("'odd {n}'", "'hot {n}'", 30, "never[0].text: a normal flow says the same"),
    ("text: 'begin disk {user} {{x}}', times", "text: 'new', times", 32, "no normal flow says it"),
    ("times: [3, 5]", "times: [5, 3]", 32, "failures[0].times: 5 is above 3"),
]


@pytest.mark.parametrize(("old", "new", "line", "says"), MISTAKES)
def test_mistakes_name_file_line_and_key(old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    with pytest.raises(profiles.ProfileError) as raised:
        profiles.parse(GOOD.replace(old, new, 1), "mine.yaml")
    places = [(f"mine.yaml:{line}: ", says)]
    assert any(m.startswith(p) and s in m for m in str(raised.value).splitlines() for p, s in places), (
        raised.value
    )


@pytest.mark.parametrize("text", ["", "[]", "7", "a: [", "\t", "format: 2", "a: &a [*a]", "{" * 2000])
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(profiles.ProfileError, match=r"^x\.yaml:\d+: "):
        profiles.parse(text, "x.yaml")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        profiles.ProfileError, match=r"nothing\.yaml: neither a file nor one of the profiles system"
    ):
        profiles.load(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(profiles.ProfileError, match="cannot be read as text"):
        profiles.load(tmp_path / "binary.yaml")


def test_a_file_of_the_users_is_found_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "system").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    assert profiles.load("system").name == "small"
    assert yaml.safe_load((tmp_path / "system").read_text())["name"] == "small"


def test_the_example_of_the_documentation_is_valid() -> None:
    page = Path(__file__).parents[2] / "docs" / "profiles.md"
    example = page.read_text().split("```yaml\n")[1].split("```")[0]
    assert len(profiles.parse(example, "docs/profiles.md").texts()) == 9
