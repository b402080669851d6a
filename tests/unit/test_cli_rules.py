"""haechi rules: what it prints, writes and ends with."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran

Haechi = Callable[..., Ran]
SIGMA = Path(__file__).resolve().parent / "sigma_rules"
EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "rules.yaml"
LINE = "<38>Oct 11 22:14:15 web1 sshd[12]: Accepted password for root from 192.0.2.7"


@pytest.mark.parametrize("verb", ["check", "convert", "test", "load"])
def test_each_explains_itself(haechi: Haechi, verb: str) -> None:
    ran = haechi("rules", verb, "--help")
    assert ran.status == 0
    assert f"haechi rules {verb} " in ran.out


def test_check_of_good_rules(haechi: Haechi) -> None:
    ran = haechi("rules", "check", EXAMPLE, SIGMA / "sudo.yml")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == "8 rules are good; 0 are refused, 0 of them for a mistake\n"


def test_check_lists_what_is_refused_and_ends_with_2_for_mistakes_only(haechi: Haechi) -> None:
    ran = haechi("rules", "check", SIGMA / "fieldref.yml")
    assert ran.status == 0
    assert "(Two fields compared): host|fieldref: two fields of a line cannot be" in ran.err
    ran = haechi("rules", "check", SIGMA / "fieldref.yml", SIGMA / "bad_level.yml")
    assert ran.status == 2
    assert "0 rules are good; 2 are refused, 1 of them for a mistake" in ran.out


def test_check_of_a_broken_rule_file(haechi: Haechi, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("- {id: a, deny: {mesage: x}}\n- {id: b, deny: {}}\n")
    ran = haechi("rules", "check", bad)
    assert ran.status == 2
    assert ran.err.splitlines()[1] == (
        f"haechi: {bad}:2: rule b: deny: is empty; a condition, a value or a list of them is expected"
    )
    ran = haechi("rules", "check", bad, "--json")
    answer = json.loads(ran.out)
    assert (ran.status, answer["ok"], len(answer["mistakes"])) == (2, False, 2)


def test_check_as_json(haechi: Haechi) -> None:
    answer = json.loads(haechi("rules", "check", SIGMA, "--json").out)
    assert answer["ok"] is False
    refused = {refusal["title"]: refusal for refusal in answer["refused"]}
    assert refused["A look-ahead"]["mistake"] is False
    assert refused["A modifier that is none"]["mistake"] is True
    assert refused["A look-ahead"]["file"].endswith("lookahead.yml")


def test_convert_and_the_engine_form_is_taken_back(haechi: Haechi, tmp_path: Path) -> None:
    out = tmp_path / "rules.json"
    ran = haechi(
        "rules", "convert", EXAMPLE, SIGMA, "-o", out, "--map", "User=message", "--action", "escalate"
    )
    assert ran.status == 0
    written = json.loads(out.read_text())
    assert written["format"] == 1
    assert ran.out.startswith(f"{out}: {len(written['rules'])} rules; ")
    actions = {rule["id"]: rule["action"] for rule in written["rules"]}
    assert actions["ssh_root"] == "deny"
    assert actions["00000000-0000-4000-8000-000000000001"] == "escalate"
    assert [path.name for path in tmp_path.iterdir()] == ["rules.json"]
    ran = haechi("rules", "check", out)
    assert (ran.status, ran.out.split()[0]) == (0, str(len(written["rules"])))


def test_convert_with_a_mapping_takes_more(haechi: Haechi, tmp_path: Path) -> None:
    out = tmp_path / "rules.json"
    assert haechi("rules", "convert", SIGMA / "mapped.yml", "-o", out).status == 1
    assert not out.exists()
    mapped = ["--map", "CommandLine=message,User=message", "--map", "Image=process"]
    assert haechi("rules", "convert", SIGMA / "mapped.yml", "-o", out, *mapped).status == 0
    assert len(json.loads(out.read_text())["rules"]) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--map", "CommandLine"], "--map 'CommandLine' is not FIELD=FIELD"),
        (["--map", "CommandLine=text"], "text is no field of a line"),
        (["--action", "allow"], "'allow' is not one of"),
    ],
)
def test_options_that_cannot_be(haechi: Haechi, arguments: list[str], sentence: str, tmp_path: Path) -> None:
    ran = haechi("rules", "convert", SIGMA / "sudo.yml", "-o", tmp_path / "r.json", *arguments)
    assert ran.status == 2
    assert sentence in ran.err


def test_places_without_rules(haechi: Haechi, tmp_path: Path) -> None:
    ran = haechi("rules", "check", tmp_path)
    assert ran.status == 2
    assert "holds no file of Sigma's (*.yml, *.yaml)" in ran.err
    (tmp_path / "rules.json").write_text("{}")
    ran = haechi("rules", "check", tmp_path / "rules.json")
    assert 'rules.json: is not a rule file of the engine: an object with "format": 1' in ran.err
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    assert "cannot be read as text" in haechi("rules", "check", tmp_path / "bytes.yaml").err


def test_test_of_lines(haechi: Haechi) -> None:
    ran = haechi(
        "rules", "test", EXAMPLE, "--line", LINE, "--line", "nothing \x1b[31m here", "--format", "rfc3164"
    )
    assert ran.status == 0
    shown = ran.out.splitlines()
    assert shown[0] == f"deny      {LINE}"
    assert shown[1].strip() == "ssh_root (deny, high)"
    assert shown[2] == r"open      nothing \x1b[31m here"  # what a terminal would obey is spelled out
    assert "1 of 2 lines fit a rule" in ran.err


def test_test_of_a_file_as_json(haechi: Haechi, tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.write_text(f"{LINE}\n<30>Oct 11 22:14:16 web1 cron[9]: quiet\n" * 3)
    ran = haechi("rules", "test", EXAMPLE, "--file", log, "--json")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert found == [{"line": LINE, "action": "deny", "rules": ["ssh_root"]}] * 3


def test_severity_and_facility_are_seen(haechi: Haechi) -> None:
    lines = ["<3>Oct 11 22:14:15 h kernel: bad", "<4>Oct 11 22:14:15 h kernel: bad"]
    options = [part for line in lines for part in ("--line", line)]
    ran = haechi("rules", "test", EXAMPLE, *options, "--json", "--format", "rfc3164")
    assert [json.loads(line)["rules"] for line in ran.out.splitlines()] == [["grave"], []]


@pytest.mark.parametrize("options", [[], ["--line", "x", "--file", str(EXAMPLE)]])
def test_test_needs_one_of_line_and_file(haechi: Haechi, options: list[str]) -> None:
    ran = haechi("rules", "test", EXAMPLE, *options)
    assert (ran.status, ran.err) == (2, "haechi: one of --line and --file is needed\n")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[tuple[Path, list[Any]]]:
    """A control socket that notes what it is asked, and what the file it is given holds; it refuses rules
    with the id bad."""
    path, asked = tmp_path / "control", list[Any]()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:
                command = json.loads(stream.readline())
                text = Path(command["path"]).read_text()
                asked.append((command["command"], Path(command["path"]).parent, json.loads(text)))
                bad = '"bad"' in text
                stream.write(b'{"ok": false, "error": "rule bad: no"}\n' if bad else b'{"ok": true}\n')
                stream.flush()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path, asked
        thread.join(10)


def test_load_hands_the_rules_to_an_engine_and_leaves_nothing(
    haechi: Haechi, engine: tuple[Path, list[Any]], tmp_path: Path
) -> None:
    path, asked = engine
    ran = haechi("rules", "load", EXAMPLE, "--control", path)
    assert ran.status == 0, ran.err
    assert ran.out == "7 rules are in force; 0 are refused\n"
    command, folder, document = asked[0]
    assert (command, folder, len(document["rules"])) == ("load_rules", tmp_path, 7)
    assert [each.name for each in tmp_path.iterdir()] == ["control"]


def test_load_says_what_the_engine_refuses(
    haechi: Haechi, engine: tuple[Path, list[Any]], tmp_path: Path
) -> None:
    path, _ = engine
    (tmp_path / "bad.yaml").write_text("- {id: bad, deny: x}")
    ran = haechi("rules", "load", tmp_path / "bad.yaml", "--control", path)
    assert (ran.status, ran.err) == (1, "haechi: load_rules: rule bad: no\n")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bad.yaml", "control"]


@pytest.fixture
def given_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `haechi detect` hands over: the engine's configuration, with its rules in place of their file."""
    seen: list[dict[str, Any]] = []

    def note(
        tool: str, config: dict[str, Any], *, pass_fds: tuple[int, ...] = ()
    ) -> tuple[int, dict[str, Any]]:
        rules = config.get("rules")
        if rules is not None:
            assert [f"/dev/fd/{fd}" for fd in pass_fds] == [rules]
            config = {**config, "rules": json.loads(Path(rules).read_text())}
        seen.append(config)
        return 0, {}

    monkeypatch.setattr("haechi.cli.detect.run_in_foreground", note)
    return seen


def test_detect_hands_rules_to_the_engine(
    haechi: Haechi, given_to_the_engine: list[dict[str, Any]], tmp_path: Path
) -> None:
    ran = haechi("detect", EXAMPLE, "--bundle", tmp_path, "--rules", EXAMPLE, "--rules", SIGMA / "sudo.yml")
    assert (ran.status, ran.err) == (0, "")
    assert len(given_to_the_engine[0]["rules"]["rules"]) == 8


def test_detect_without_rules(
    haechi: Haechi, given_to_the_engine: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert haechi("detect", EXAMPLE, "--bundle", tmp_path).status == 0
    assert "rules" not in given_to_the_engine[0]


def test_detect_with_rules_of_its_configuration(
    haechi: Haechi, given_to_the_engine: list[dict[str, Any]], tmp_path: Path
) -> None:
    config = tmp_path / "detect.yaml"
    config.write_text(
        f"rules:\n  files: [{SIGMA}/mapped.yml, {SIGMA}/fieldref.yml]\n"
        "  map: {CommandLine: message, User: message, Image: process}\n  action: escalate\n"
    )
    ran = haechi("detect", EXAMPLE, "--bundle", tmp_path, "--config", config)
    assert ran.status == 0
    assert "haechi: rule refused: " in ran.err and "|fieldref: two fields" in ran.err
    assert [rule["action"] for rule in given_to_the_engine[0]["rules"]["rules"]] == ["escalate"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- {id: a, deny: {}}", "r.yaml:1: rule a: deny: is empty"),
        (None, "r.yaml: cannot be read as text"),
    ],
)
def test_detect_with_rules_that_cannot_be(
    haechi: Haechi, given_to_the_engine: list[dict[str, Any]], tmp_path: Path, text: str | None, sentence: str
) -> None:
    file = tmp_path / "r.yaml"
    if text is not None:
        file.write_text(text)
    ran = haechi("detect", EXAMPLE, "--bundle", tmp_path, "--rules", file)
    assert ran.status == 2
    assert sentence in ran.err
    assert not given_to_the_engine
