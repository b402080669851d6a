"""Profiles: how they are read and rendered, and what is said about mistakes in one."""

import copy
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from haechi.native.tools import ToolError, tool_path
from haechi.storm import profile as profiles
from haechi.storm.document import VALUES_FILE_BYTES, read_values
from haechi.storm.model import Variable

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
values:
  - {process: app, technique: T1078, text: 'begin disk {user} {{x}}', variable: user, choice: [root]}
  - {process: kernel, text: 'hot {n}', variable: n, range: [100, 200]}
bursts:
  - {process: app, severity: err, text: 'refused {ip}', times: [20, 40], technique: T1499}
"""


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
    assert rendered["values"] == [
        {
            "process": "app",
            "severity": 6,
            "technique": "T1078",
            "text": "begin disk {user} {{x}}",
            "variable": "user",
            "choice": ["root"],
        },
        {"process": "kernel", "severity": 6, "text": "hot {n}", "variable": "n", "range": [100, 200]},
    ]
    assert rendered["bursts"] == [
        {"process": "app", "severity": 3, "technique": "T1499", "text": "refused {ip}", "times": [20, 40]}
    ]


def test_a_rule_speaks_as_loud_as_normal_traffic_does() -> None:
    text = GOOD.replace("'begin disk {user} {{x}}', times", "'end disk {ip}', times")
    rendered = json.loads(profiles.render(profiles.parse(text, "good.yaml")))
    assert [rule["severity"] for rule in rendered["failures"]] == [5]


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
    (
        "times: [3, 5]",
        "times: [3, 201]",
        32,
        "failures[0].times[1]: input should be less than or equal to 200",
    ),
    (
        "{process: app, text: 'begin disk {user} {{x}}', times",
        "{process: kernel, text: 'hot {n}', times",
        32,
        "failures[0].process: kernel has no pid",
    ),
    ("left {part} {id}", "begin {part} {user} {{x}}", 22, "the same text has the severity notice elsewhere"),
    (
        "{process: app, text: 'begin",
        "{process: app, severity: err, text: 'begin",
        32,
        "failures[0].severity: the same text has the severity info elsewhere",
    ),
    (
        "times: [3, 5]",
        "times: [3, 5]}\n  - {process: app, text: 'again {n}', times: [2, 5]",
        33,
        "failures[1].text: no normal flow says it",
    ),
    ("for_each: part", "for_each: part\n    for_each: part", 20, "for_each: is there twice"),
    ("begin {part}", "begin {part}" + "{ip}" * 10, 22, "has too many variables: 11"),
    ("'odd {n}'", "'" + "x" * 990 + "{n}{ip}'", 30, "never[0].text: can become 1010 bytes long"),
    ("'odd {n}'", "'" + "x" * 1001 + "'", 30, "never[0].text: string should have at most 1000 characters"),
    ("prefix: node", "prefix: a-node-of-a-rather-long-na", 3, "hosts.prefix"),
    (
        "{prefix: node, count: 40}\npids: {first: 95",
        "{prefix: abcdefghijklmnopqrstuvwx, count: 60000}\npids: {first: 4000000",
        8,
        "processes.kernel: host, process and pid can take 47 bytes, at most 46",
    ),
    # values
    (
        "user, choice: [root]",
        "user, choice: [root, lee]",
        34,
        "values[0].choice[1]: normal traffic has the value",
    ),
    ("user, choice: [root]", "user", 34, "values[0]: needs either range or choice"),
    (
        "user, choice: [root]",
        "user, choice: [root], range: [1, 2]",
        34,
        "values[0]: needs either range or choice",
    ),
    (
        "user, choice: [root]",
        "nobody, choice: [root]",
        34,
        "values[0].variable: 'nobody' is none of the variables",
    ),
    ("user, choice: [root]", "ip, choice: [root]", 34, "values[0].variable: {ip} does not stand in the text"),
    ("[40, 200]", "[40, 65]", 34, "values[0].choice: its iso lines take"),
    ("T1078, text: 'begin disk", "T1078, text: 'begin tape", 34, "values[0].text: no normal flow says it"),
    (
        "{process: app, technique: T1078",
        "{process: kernel, technique: T1078",
        34,
        "says it; it has to be one of",
    ),
    ("T1078, text", "T78, text", 34, "values[0].technique"),
    ("T1078, text", "T1078, often: 3, text", 34, "values[0].often: is no key that is known here"),
    (
        "range: [100, 200]",
        "range: [99, 200]",
        35,
        "values[1].range: normal traffic has values from 99 to 200 as",
    ),
    ("range: [100, 200]", "range: [200, 100]", 35, "values[1].range: 200 is above 100"),
    (
        "range: [100, 200]",
        "choice: [cold, '50']",
        35,
        "values[1].choice[1]: normal traffic has the value '50'",
    ),
    # bursts
    (
        "times: [20, 40]",
        "times: [1, 40]",
        37,
        "bursts[0].times[0]: input should be greater than or equal to 2",
    ),
    (
        "times: [20, 40]",
        "times: [20, 2001]",
        37,
        "bursts[0].times[1]: input should be less than or equal to 2000",
    ),
    ("times: [20, 40]", "times: [41, 40]", 37, "bursts[0].times: 41 is above 40"),
    ("times: [20, 40]", "times: 40", 37, "bursts[0].times"),
    ("app, severity: err", "kernel, severity: err", 37, "bursts[0].process: kernel has no pid"),
    ("app, severity: err", "ape, severity: err", 37, "bursts[0].process: 'ape' is none of the processes"),
    ("'refused {ip}'", "'refused {port}'", 37, "bursts[0].text: {port} is none of the variables"),
    ("'refused {ip}'", "'end disk {ip}'", 37, "bursts[0].severity: the same text has the severity notice"),
    ("times: [20, 40]", "times: [20, 251]", 37, "bursts[0].times: 251 messages need as many ids"),
    # choice_file
    ("choice: [kim, lee]", "choice: [kim], choice_file: names.txt", 10, "has choice and choice_file of"),
    ("choice: [kim, lee]", "choice_file: no.txt", 10, "variables.user.choice_file: "),
    ("choice: [kim, lee]", "choice_file: ../no.txt", 10, "does not lie in the profile's folder"),
    ("choice: [kim, lee]", "choice_file: /etc/passwd", 10, "does not lie in the profile's folder"),
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
        profiles.ProfileError,
        match=r"nothing\.yaml: neither a file nor one of the profiles auth, firewall, system, web",
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


def test_a_run_that_is_normal_is_no_failure() -> None:
    twice = GOOD.replace("steps:\n", "steps:\n      - {text: 'begin {part} {user} {{x}}'}\n", 1)
    assert profiles.parse(twice, "good.yaml").failures[0].times == [3, 5]
    with pytest.raises(profiles.ProfileError, match=r"failures\[0\].times: 2 is not above 2"):
        profiles.parse(twice.replace("times: [3, 5]", "times: [2, 5]"), "mine.yaml")


# What a variable can be, and whether a text or a number from a range is one of its values.
VARIABLES: list[tuple[dict[str, Any], list[str], list[str], list[tuple[int, int]], list[tuple[int, int]]]] = [
    ({"choice": ["a", "7"]}, ["a", "7"], ["b", "07"], [(7, 7), (0, 9)], [(8, 9), (0, 6)]),
    (
        {"range": [10, 20]},
        ["10", "015", "20"],
        ["9", "21", "x", "1.5", "-10"],
        [(20, 30)],
        [(21, 30), (0, 9)],
    ),
    ({"ipv4": "10.0.0.0/8"}, ["10.0.0.1"], ["11.0.0.1", "10.0.0", "x"], [], [(0, 99_999_999)]),
    (
        {"random": "hex", "length": 3},
        ["0af"],
        ["0a", "0ag", "0AF"],
        [(100, 999), (9, 100)],
        [(1, 99), (1000, 9999)],
    ),
    ({"random": "lower", "length": 3}, ["abc"], ["ab1"], [], [(100, 999)]),
    ({"random": "base64", "length": 2}, ["+Z"], ["=="], [(10, 11)], [(100, 999)]),
]


@pytest.mark.parametrize(("keys", "own", "others", "meets", "misses"), VARIABLES)
def test_what_lies_outside_a_variable(
    keys: dict[str, Any],
    own: list[str],
    others: list[str],
    meets: list[tuple[int, int]],
    misses: list[tuple[int, int]],
) -> None:
    variable = Variable(**keys)
    assert [v for v in own + others if variable.may_be(v)] == own
    assert [r for r in meets + misses if variable.may_be_of(*r)] == meets


# --- values from a file -----------------------------------------------------------------------------


def test_values_come_from_a_file_beside_the_profile(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes(
        b"\xef\xbb\xbfkim\r\n\n  lee\x07 minji \t\n\x00\x1b\n" + "é".encode() * 100 + b"\nlast\x7f\xc2\x85"
    )
    (tmp_path / "mine.yaml").write_text(
        GOOD.replace("choice: [kim, lee]", "choice_file: names.txt").replace("[40, 200]", "[40, 300]")
    )
    profile = profiles.load(tmp_path / "mine.yaml")
    assert profile.variables["user"].choice == ["kim", "lee minji", "é" * 63, "last"]
    assert "choice_file" not in profiles.render(profile)
    assert json.loads(profiles.render(profile))["variables"][0]["choice"][1] == "lee minji"


FILES = [
    (b"", "holds no value; one a line is expected"),
    (b"\n \n\x00\n", "holds no value"),
    (b"kim\xff\n", "cannot be read as text"),
    (b"x\n" * 4097, "holds 4097 values, at most 4096"),
    (b"x" * (VALUES_FILE_BYTES + 1), "has more than 4194304 bytes"),
]


@pytest.mark.parametrize(("content", "says"), FILES)
def test_files_that_give_no_values(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    (tmp_path / "mine.yaml").write_text(GOOD.replace("choice: [kim, lee]", "choice_file: names.txt"))
    with pytest.raises(
        profiles.ProfileError, match=r"mine\.yaml:10: variables\.user\.choice_file: .*" + says
    ):
        profiles.load(tmp_path / "mine.yaml")


def test_only_regular_files_of_the_folder_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    (folder / "below").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret\n")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "ring").symlink_to("ring")
    (folder / "below" / "names").write_text("kim\n")
    os.mkfifo(folder / "pipe")
    assert read_values(folder, "below/../below/names") == ["kim"]
    for name in (
        "link",
        "../secret",
        "pipe",
        "below",
        "ring",
        "nothing",
        "a\0b",
        "x" * 255,
        str(tmp_path / "secret"),
    ):
        with pytest.raises(profiles.ProfileError):
            read_values(folder, name)


# --- hostile texts ----------------------------------------------------------------------------------

HOSTILE = [
    "a: !!timestamp x",
    "a: !!bool perhaps",
    "a: !!int ''",
    "a: 2025-99-99",
    "a: " + "9" * 5000,
    "? [1]\n: 2",
    "a: !!python/object:os.system x",
    "<<: 3",
    "a: =",
    "\ud800",
    "--- 1\n--- 2",
    "a: *b",
    "a: &a [*a, *a]",
    "\x00",
    "[" * 100_000,
    "- " * 100_000,
    "{a: " * 50_000,
    "? " * 50_000,
    GOOD.replace("flows:", "flows: &f").replace("steps: [{text: 'hot {n}'}]", "steps: *f"),
    GOOD.replace("'end {part} {ip}', ", "'end {part} {ip}', &n 'x', " + "*n, " * 60_000),
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(profiles.ProfileError, match=r"^x\.yaml:\d+: "):
        profiles.parse(text, "x.yaml")


def test_a_few_aliases_cannot_ask_for_millions_of_texts() -> None:
    step = "{texts: [" + ", ".join(f"'text number {i} of this line'" for i in range(64)) + "]}"
    text = GOOD.split("flows:")[0] + (
        f"flows:\n  - &f {{name: a, process: app, share: 1, steps: [&s {step}" + ", *s" * 31 + "]}\n"
    )
    with pytest.raises(profiles.ProfileError, match="have 1050624 texts"):
        profiles.parse(text + "  - *f\n" * 512, "x.yaml")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["{n}", "{", "}}", "{part}", "app", "T1110", "10.0.0.0/8", "hot {n}", "user", "odd {n}"]),
    st.lists(st.integers(-1, 300), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every node below the root."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [found for key, child in items for found in ((*path, key), *places(child, (*path, key)))]


PLACES = places(yaml.safe_load(GOOD))


@st.composite
def disturbed(draw: st.DrawFn) -> str:
    """The good profile with up to three nodes replaced, taken out or doubled."""
    data = copy.deepcopy(yaml.safe_load(GOOD))
    for place in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        node = data
        try:
            for part in place[:-1]:
                node = node[part]
            match draw(st.integers(0, 3)):
                case 0:
                    del node[place[-1]]
                case 1 if isinstance(node, list):
                    node.append(node[place[-1]])
                case _:
                    node[place[-1]] = draw(SCALARS)
        except (KeyError, IndexError, TypeError):
            continue
    return yaml.safe_dump(data, allow_unicode=True)


@st.composite
def cut_and_pasted(draw: st.DrawFn) -> str:
    """The good profile's text with a piece replaced by any other."""
    start = draw(st.integers(0, len(GOOD)))
    end = draw(st.integers(start, min(len(GOOD), start + 40)))
    piece = draw(st.one_of(st.text(max_size=12), st.text("{}[]:-&*!|>'\"\\ \n\t,?%@`0x", max_size=12)))
    return GOOD[:start] + piece + GOOD[end:]


def refused_or_rendered(path: Path) -> str | None:
    try:
        rendered = profiles.render(profiles.load(path))
    except profiles.ProfileError as error:
        assert str(error)
        return None
    assert json.loads(rendered)["format"] == 1
    return rendered


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profiles")


@settings(max_examples=200, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200), cut_and_pasted(), disturbed()))
def test_no_text_makes_anything_but_a_profile_error(folder: Path, data: str | bytes) -> None:
    (folder / "x.yaml").write_bytes(
        data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    )
    refused_or_rendered(folder / "x.yaml")


@settings(max_examples=60, deadline=None)
@given(text=disturbed())
def test_what_is_accepted_here_is_accepted_by_the_core(folder: Path, text: str) -> None:
    (folder / "y.yaml").write_text(text)
    rendered = refused_or_rendered(folder / "y.yaml")
    if rendered is None:
        return
    try:
        tool = tool_path("haechi-storm")
    except ToolError as missing:
        pytest.skip(str(missing))
    (folder / "y.json").write_text(rendered)
    command = [str(tool), "--profile", str(folder / "y.json"), "--count", "1", "--output", "-"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.stderr, text)


def test_the_example_of_the_documentation_is_valid() -> None:
    page = Path(__file__).parents[2] / "docs" / "profiles.md"
    example = page.read_text().split("```yaml\n")[1].split("```")[0]
    assert len(profiles.parse(example, "docs/profiles.md").texts()) == 9
