"""The command line: help with an example, statuses, one line for a user's mistake, JSON for machines."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from haechi import __version__
from haechi.bundle.pack import SYSTEM_LIBRARIES
from haechi.cli.main import VERBS, main
from haechi.cli.outcome import Refusal, refusals
from haechi.native.tools import tool_path
from haechi.rules import hyperscan
from tests.conftest import Made, Ran

Haechi = Callable[..., Ran]
ROOT = Path(__file__).resolve().parents[2]

COMMANDS = [
    *([verb] for verb in VERBS),
    *(["bundle", verb] for verb in ("show", "verify", "diff", "pack")),
    *(
        ["bench", name]
        for name in ("hdfs", "parsing", "accuracy", "detect", "rules", "storm", "loop", "soak")
    ),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_verb_explains_itself(haechi: Haechi, command: list[str]) -> None:
    ran = haechi(*command, "--help")
    assert ran.status == 0
    if command not in (["bundle"], ["bench"]):
        assert "haechi " + " ".join(command) in ran.out.split("Options:")[0].partition("\n")[2]


def test_help_lists_the_verbs_and_the_statuses(haechi: Haechi) -> None:
    ran = haechi("--help")
    assert all(f"  {verb} " in ran.out for verb in VERBS)
    assert "99 a threshold" in " ".join(ran.out.split())
    assert haechi("--version").out == f"haechi, version {__version__}\n"


def test_help_is_fast_and_loads_nothing_heavy() -> None:
    code = """
        import sys
        from haechi.cli.main import main
        main(["--help"])
        sys.exit(any(name in sys.modules for name in ("torch", "numpy", "pydantic", "onnx")))
    """
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", "\n".join(line.strip() for line in code.splitlines())], check=True)
    assert time.monotonic() - begun < 3  # 0.1 s on an idle machine


WRONG_USAGE = [
    ([], "Usage"),
    (["nothing"], "'nothing' is none of the verbs demo, train"),
    (["eval"], "Missing argument"),
    (["eval", "{tmp}/none", "--truth", "{tmp}/none"], "does not exist"),
    (["eval", "{log}", "--truth", "{log}", "--min-f1", "2"], "not in the range"),
    (["train", "{tmp}/none"], "does not exist"),
    (["train", "{tmp}"], "is a directory"),
    (
        ["train", "{log}", "--device", "gpu"],
        "command line: fit.device: 'gpu' is none of 'auto', 'cpu' or 'cuda'",
    ),
    (["train", "{log}", "--budget", "2"], "command line: threshold.budget: 2.0 is not below 1"),
    (
        ["train", "{log}", "--config", "{bad}"],
        "{bad}: windows: is not a key here; did you mean window? (line 1)",
    ),
    (["detect"], "command line: bundle: is required"),
    (["detect", "{log}", "--bundle", "b", "--workers", "0"], "command line: workers: 0 is not at least 1"),
    (["detect", "{log}", "--bundle", "b", "--pin", "a"], "command line: pin.0: 'a' is not a whole number"),
    (["detect", "{log}", "--config", "{tmp}/none"], "does not exist"),
    (["storm"], "Missing option"),
    (["storm", "-o", "-", "--count", "many"], "'many' is not a number above 0"),
    (["storm", "-o", "-", "--count", "1.5"], "'1.5' is not a whole number"),
    (["storm", "-o", "-", "--form", "xml"], "'xml' is not one of"),
    (["storm", "-o", "-", "--profile", "none"], "none"),
    (["bundle", "show"], "Missing argument"),
    (["eval", "{log}", "--truth", "{log}", "--ignore-kinds", "bursts"], "bursts is none of step_skipped"),
    (["bench", "detect", "--lines", "5"], "not in the range"),
    (["bench", "soak", "--duration", "long"], "'long' is not a time such as"),
    (["bench", "soak", "--duration", "0"], "a duration of 0 is none"),
    (["bench", "loop", "--eps", "max"], "'max' is not a number above 0"),
]


@pytest.mark.parametrize(("arguments", "complaint"), WRONG_USAGE, ids=lambda value: str(value)[:40])
def test_wrong_usage_is_status_2_and_words(
    haechi: Haechi, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    places = {"tmp": tmp_path, "log": tmp_path / "a.log", "bad": tmp_path / "bad.yaml"}
    places["log"].write_text("a line\n")
    places["bad"].write_text("windows:\n  size: 3\n")
    ran = haechi(*[argument.format(**places) for argument in arguments])
    assert ran.status == 2
    assert complaint.format(**places) in ran.err + ran.out


def test_a_failure_is_status_1_and_words(haechi: Haechi, tmp_path: Path) -> None:
    empty = tmp_path / "empty.log"
    empty.touch()
    (tmp_path / "folder").mkdir()
    not_alerts = tmp_path / "alerts"
    not_alerts.write_text("x\n")
    cases: list[tuple[list[object], str]] = [
        (["train", empty, "-o", tmp_path / "b"], "empty.log"),
        (["bundle", "verify", tmp_path / "folder"], "manifest.json: cannot be read"),
        (["eval", not_alerts, "--truth", empty], "line 1: is not JSON"),
        (["storm", "-o", "/no/such/folder/x", "--count", "10"], "/no/such/folder/x"),
        (["demo", "--log", empty], "too few"),
    ]
    for arguments, complaint in cases:
        ran = haechi(*arguments)
        assert ran.status == 1, arguments
        assert complaint in ran.err
        assert ran.err.rstrip().rpartition("\n")[2].startswith("haechi: ")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (FileNotFoundError(2, "No such file or directory", "x"), 1, "haechi: x: No such file or directory\n"),
        (OSError("odd"), 1, "haechi: odd\n"),
        (ValueError("a\nb"), 1, "haechi: a\nhaechi: b\n"),
        (KeyError("k"), 2, "haechi: 'k'\n"),
        (Refusal("as it is"), 1, "haechi: as it is\n"),
    ],
)
def test_refusals_become_one_line(
    error: Exception, status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Refusal) as refused, refusals(ValueError, wrong_usage=(KeyError,)):
        raise error
    refused.value.show()
    assert (refused.value.exit_code, capsys.readouterr().err) == (status, text)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyboardInterrupt(), 130, "haechi: interrupted\n"),
        (MemoryError(), 1, "haechi: this machine's memory does not suffice\n"),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_what_ends_any_verb(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    text: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("haechi.cli.data.print_json", fail)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert main(["data", "--json"]) == status
    assert capfd.readouterr().err.lstrip() == text  # click ends the line that ^C stands in


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haechi.cli.data.SOURCES", 5)
    with pytest.raises(TypeError):
        main(["data"])


def test_data_names_places(haechi: Haechi) -> None:
    assert "zenodo.org" in haechi("data").out
    assert len(json.loads(haechi("data", "--json").out)["sources"]) == 3


def test_storm_makes_a_log_and_says_what_it_made(haechi: Haechi, tmp_path: Path) -> None:
    log, truth = tmp_path / "a.log", tmp_path / "t.jsonl"
    ran = haechi("storm", "-o", log, "--count", "2k", "--anomaly-rate", "0.5", "--truth", truth, "--json")
    assert ran.status == 0
    assert json.loads(ran.err)["events"] == 2000
    assert log.read_bytes().count(b"\n") == 2000
    assert truth.read_bytes().count(b"\n") == json.loads(ran.err)["episodes"] > 0
    assert "2000 lines" in haechi("storm", "-o", "-", "--count", "2k").err


def test_train_makes_a_bundle_that_can_be_looked_at(haechi: Haechi, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"job {i} started\njob {i} finished\n" for i in range(200)))
    config = tmp_path / "training.yaml"
    config.write_text("fit: {min_steps: 5, max_steps: 5}\nthreshold: {folds: 2}\nsession: {by: all}\n")
    options = ["--config", config, "-o", tmp_path / "bundles", "--seed", "3", "--format", "plain"]
    ran = haechi("train", log, *options)
    assert ran.status == 0
    assert "400 lines (0 malformed) in format plain" in ran.out
    result = json.loads(haechi("train", log, *options, "--json").out)
    assert result["log_keys"] == 2
    assert haechi("bundle", "verify", tmp_path / "bundles").status == 0


def test_bundle_show_verify_and_diff(haechi: Haechi, made: Made, tmp_path: Path) -> None:
    shown = haechi("bundle", "show", made.bundles, "--templates")
    assert made.bundle.name in shown.out
    assert "by fields: host process pid" in shown.out
    assert len(json.loads(haechi("bundle", "show", made.bundle, "--json").out)["templates"]) > 100
    assert (
        "3 files" in haechi("bundle", "verify", made.bundle).out
        or haechi("bundle", "verify", made.bundle).status == 0
    )
    assert json.loads(haechi("bundle", "verify", made.bundle, "--json").out)["ok"]
    assert haechi("bundle", "diff", made.bundle, made.bundles).out == "no difference\n"
    assert json.loads(haechi("bundle", "diff", made.bundle, made.bundles, "--json").out)["changed"] == {}
    broken = tmp_path / "broken"
    shutil.copytree(made.bundle, broken)
    model = broken / "deeplog.onnx"
    content = bytearray(model.read_bytes())
    content[100] ^= 1
    model.write_bytes(content)
    for verb in ("verify", "show"):
        ran = haechi("bundle", verb, broken)
        assert ran.status == 1
        assert "deeplog.onnx: its sha256 is" in ran.err


def test_detect_alerts_fit_the_published_schema_and_are_scored(
    haechi: Haechi, made: Made, tmp_path: Path
) -> None:
    alerts = tmp_path / "alerts.jsonl"
    ran = haechi("detect", made.log, "--bundle", made.bundles, "-o", alerts)
    assert ran.status == 0
    assert re.match(r"20,000 lines in [\d.]+ s \([\d,]+ a second\), [\d,]+ alerts; malformed 0", ran.err)
    schema = json.loads((ROOT / "docs" / "alert.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    records = [json.loads(line) for line in alerts.read_text().splitlines()]
    assert {record["detector"] for record in records} >= {"deeplog", "new_event"}
    for record in records:
        validator.validate(record)
    assert len({record["id"] for record in records}) == len(records)

    scored = haechi("eval", alerts, "--truth", made.truth, "--json")
    assert scored.status == 0
    assert json.loads(scored.out)["kinds"]["never_seen_message"]["recall"] > 0.8
    assert "precision" in haechi("eval", alerts, "--truth", made.truth).out
    missed = haechi("eval", alerts, "--truth", made.truth, "--min-f1", "1")
    assert missed.status == 99
    assert "is below 1" in missed.err


def test_detect_hands_its_place_to_the_engine(made: Made, tmp_path: Path) -> None:
    """With --json (and with --follow) the engine itself is the process: run in a child."""
    arguments = ["detect", str(made.log), "--bundle", str(made.bundle), "--json"]
    code = f"from haechi.cli.main import main; main({arguments!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["lines"] == 20_000
    assert json.loads(done.stdout.splitlines()[0])["bundle"] == made.bundle.name


def test_detect_passes_on_the_engines_status(haechi: Haechi, tmp_path: Path) -> None:
    ran = haechi("detect", "-", "--bundle", tmp_path)
    assert ran.status == 1
    assert "manifest.json" in ran.err


def test_the_engine_takes_every_setting(haechi: Haechi, made: Made, tmp_path: Path) -> None:
    config = tmp_path / "detect.yaml"
    config.write_text((ROOT / "configs" / "detect.yaml").read_text())
    ran = haechi(
        *("detect", made.log, "--bundle", made.bundle, "--config", config, "-o", tmp_path / "alerts"),
        *("--workers", 2, "--checkpoint", tmp_path / "checkpoint", "--stats-page", tmp_path / "stats"),
        *("--control-socket", tmp_path / "control", "--format", "iso", "--no-follow"),
    )
    assert ran.status == 0, ran.err
    assert (tmp_path / "checkpoint").exists()
    assert (tmp_path / "stats").exists()


def test_pack_runs_where_there_is_no_python(
    haechi: Haechi, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haechi.bundle.pack.XZ_PRESET", 0)  # a second instead of ten
    archive = tmp_path / "edge.tar.xz"
    packed = json.loads(haechi("bundle", "pack", made.bundles, "-o", archive, "--json").out)
    assert packed["bytes"] == archive.stat().st_size < 20_000_000
    subprocess.run(["tar", "xf", archive], cwd=tmp_path, check=True)
    (folder,) = tmp_path.glob("haechi-*")
    quoted = tmp_path / 'a "log" \\ of mine'
    shutil.copy(made.log, quoted)
    environment: list[str | Path] = ["env", "-i", "PATH=/usr/bin:/bin"]
    start = [
        *environment,
        folder / "detect",
        "-o",
        tmp_path / "alerts",
        "--checkpoint",
        tmp_path / "state",
        quoted,
    ]
    done = subprocess.run(start, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    first = json.loads((tmp_path / "alerts").read_text().splitlines()[0])
    assert first["bundle"] == made.bundle.name
    assert first["lines"][0]["source"] == str(quoted)
    piped = subprocess.run(
        [*environment, folder / "detect", "-"], stdin=made.log.open("rb"), capture_output=True, text=True
    )
    assert piped.returncode == 0
    assert piped.stdout.count("\n") > 0
    assert subprocess.run([folder / "detect"], capture_output=True).returncode == 2
    loaded = subprocess.run(["ldd", folder / "bin" / "haechi-detect"], capture_output=True, text=True).stdout
    assert "cjson" in loaded  # what the archive has to bring, it brings
    assert list((folder / "lib").glob("libcjson*"))
    assert not list((folder / "lib").glob("libhs*"))
    assert "install libhyperscan5" in (folder / "README").read_text()


def test_pack_with_rules(haechi: Haechi, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules and their library travel along; without them the archive says what a machine needs for rules."""
    if hyperscan.library() is None:
        pytest.skip("Hyperscan is not installed")
    monkeypatch.setattr("haechi.bundle.pack.XZ_PRESET", 0)
    rules = tmp_path / "rules.yaml"
    rules.write_text("- {id: everything, deny: {line: {regex: '.'}}}\n")
    archive = tmp_path / "edge.tar.xz"
    packed = haechi("bundle", "pack", made.bundles, "-o", archive, "--rules", rules)
    assert packed.status == 0, packed.err
    subprocess.run(["tar", "xf", archive], cwd=tmp_path, check=True)
    (folder,) = tmp_path.glob("haechi-*")
    start: list[str | Path] = ["env", "-i", "PATH=/usr/bin:/bin", folder / "detect"]
    done = subprocess.run([*start, made.log], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(alert["rule"] == "everything" for alert in alerts) > 10
    other = tmp_path / "none.json"
    other.write_text('{"format": 1, "rules": []}')
    done = subprocess.run([*start, "--rules", other, made.log], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0 and '"everything"' not in done.stdout, done.stderr
    loaded = subprocess.run(["ldd", folder / "lib" / "libhs.so.5"], capture_output=True, text=True).stdout
    needed = {line.split()[0] for line in loaded.splitlines() if "=> /" in line}
    brought = {path.name for path in (folder / "lib").iterdir()}
    assert {name for name in needed if not name.startswith(SYSTEM_LIBRARIES)} <= brought
    assert "Hyperscan, which they need, is in lib/" in (folder / "README").read_text()
    monkeypatch.setattr("haechi.bundle.pack.library_path", lambda: None)
    ran = haechi("bundle", "pack", made.bundles, "-o", tmp_path / "b.tar.xz", "--rules", rules)
    assert ran.status == 1 and "install libhyperscan5" in ran.err


def test_pack_names_what_is_missing(haechi: Haechi, made: Made, tmp_path: Path, monkeypatch: Any) -> None:
    ran = haechi("bundle", "pack", made.bundles, "-o", "/no/such/folder/a.tar.xz")
    assert ran.status == 1
    assert "/no/such/folder" in ran.err
    fake = tmp_path / "engine"
    fake.write_text("no program")
    fake.chmod(0o755)
    monkeypatch.setattr("haechi.bundle.pack.tool_path", lambda name: fake)
    ran = haechi("bundle", "pack", made.bundles, "-o", tmp_path / "a.tar.xz")
    assert ran.status == 1
    assert "ldd cannot tell its libraries" in ran.err
    assert not (tmp_path / "a.tar.xz").exists()


def test_the_engine_is_where_the_package_looks() -> None:
    assert tool_path("haechi-detect").parent.name in ("bin", "tools")
