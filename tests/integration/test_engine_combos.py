"""combos in the engine: pairs that training never saw, once each; for any workers, batches and restarts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from haechi.bundle.manifest import Other
from haechi.bundle.store import Bundle, entry_of, write
from haechi.config.training import CombosConfig
from haechi.train import combos
from tests.integration.engine_room import (
    ORDER,
    Judged,
    fill,
    judge,
    make_bundle,
    need_engine,
    stamp,
)
from tests.integration.test_engine_crash import restarted

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "alert.schema.json").read_text())
)
LINES = 12_000
SAYS = {"sshd": ORDER[:2], "nginx": ORDER[1:3], "cron": ORDER[2:], "postgres": ORDER[3:]}
RUNS = {"web1": ("sshd", "nginx", "cron"), "web2": ("sshd", "nginx"), "db1": ("sshd", "postgres", "cron")}


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    need_engine()


def line(at_s: float, host: str, process: str, message: str) -> str:
    return f"{stamp(at_s)} {host} {process}[7]: {message}\n"


def traffic(seed: int, count: int = LINES) -> list[str]:
    draw = random.Random(seed)
    made = []
    for n in range(count):
        host = draw.choice(list(RUNS))
        process = draw.choice(RUNS[host])
        made.append(line(n * 0.1, host, process, fill(draw.choice(SAYS[process]), draw)))
    return made


def odd_traffic() -> list[str]:
    """Two pairs that are new, several times within the hour and once after it; and what is no member."""
    lines = traffic(2)
    for n in (1000, 1001, 4000):
        lines[n] = line(n * 0.1, "web2", "postgres", fill(ORDER[3], random.Random(n)))
    for n in (2000, 7000):
        lines[n] = line(n * 0.1, "db1", "sshd", fill(ORDER[3], random.Random(n)))
    lines[3000] = line(300, "web9", "postgres", fill(ORDER[3], random.Random(3)))
    lines[3001] = line(300.1, "web1", "dhcpd", fill(ORDER[0], random.Random(3)))
    lines[3002] = line(300.2, "web1", "sshd", "what is this")
    lines.append(line(100 + 3600, "web2", "postgres", fill(ORDER[3], random.Random(4))))
    return lines


def bundle_with(folder: Path, log: Path) -> Bundle:
    base = make_bundle(folder / "base", deeplog=None)
    files = {name: base.file(name) for name in base.manifest.files}
    entry = combos.learn([log], "iso", files["templates.json"], LINES, CombosConfig())
    assert entry is not None
    files |= entry.files
    return write(
        folder / "bundles",
        base.manifest.model_copy(
            update={
                "detectors": (*base.manifest.detectors, Other.model_validate(entry.section)),
                "files": {name: entry_of(content) for name, content in files.items()},
            }
        ),
        files,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("combos")
    log = folder / "normal.log"
    log.write_text("".join(traffic(1)))
    return bundle_with(folder, log)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return odd_traffic()


@pytest.fixture(scope="module")
def usual(bundle: Bundle, lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("usual")
    (folder / "app.log").write_text("".join(lines))
    return judge(bundle.path, folder, [folder / "app.log"])


def of_combos(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((alert for alert in alerts if alert["detector"] == "combos"), key=lambda a: str(a["time"]))


def reported(alerts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (alert["id"], alert["time"], alert["score"], alert["reason"], json.dumps(alert["detail"]))
        for alert in of_combos(alerts)
    ]


def test_reports_new_pairs_once_and_says_what_is_usual(usual: Judged) -> None:
    assert usual.status == 0, usual.stderr
    found = of_combos(usual.alerts)
    assert [(alert["detail"]["pair"], alert["time"][11:19]) for alert in found] == [
        ("host_process", "00:01:40"),
        ("process_key", "00:03:20"),
        ("host_process", "01:01:40"),
    ]
    for alert in found:
        SCHEMA.validate(alert)
        assert alert["rule"] == "new_pair"
        assert alert["score"] == pytest.approx(alert["evidence"])
        assert alert["score"] >= alert["threshold"] > 0
    first, second, _ = (alert["detail"] for alert in found)
    assert (first["host"], first["process"]) == ("web2", "postgres")
    assert sorted(first["host_usual"]) == ["nginx", "sshd"]
    assert first["process_usual"] == ["db1"]
    assert second["process"] == "sshd"
    assert second["template"] == found[1]["template"]
    assert sorted(second["template_usual"]) == ["cron", "postgres"]
    assert len(second["process_usual"]) == 2
    assert '"db1"' in found[0]["reason"] and "web2" in found[0]["reason"]
    assert found[0]["lines"][0]["text"].split()[1] == "web2"


def test_normal_lines_are_quiet(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("".join(traffic(3)))
    assert of_combos(judge(bundle.path, tmp_path / "run", [tmp_path / "app.log"]).alerts) == []


@pytest.mark.parametrize(
    "change", [{"workers": 3}, {"batch_bytes": 4096}, {"workers": 3, "batch_bytes": 8192}], ids=str
)
def test_same_alerts(
    change: dict[str, Any], bundle: Bundle, lines: list[str], usual: Judged, tmp_path: Path
) -> None:
    # The same file: an alert's id holds which file its line is in.
    log = Path(usual.alerts[0]["lines"][0]["source"])
    other = judge(bundle.path, tmp_path / "other", [log], **change)
    assert other.status == 0, other.stderr
    assert reported(other.alerts) == reported(usual.alerts)


def test_what_was_reported_outlives_a_restart(
    bundle: Bundle, lines: list[str], usual: Judged, tmp_path: Path
) -> None:
    alerts = restarted(bundle.path, tmp_path, lines, (1, 3, 2))
    assert [one[1:] for one in reported(alerts)] == [one[1:] for one in reported(usual.alerts)]


def _without(key: str) -> Any:
    return lambda one: one.pop(key)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda text: text | {"format": 2}, "format 1"),
        (lambda text: text | {"sets": 3}, "no list"),
        (lambda text: text | {"sets": [text["sets"][0]] * 2}, "set 1"),
        (lambda text: text | {"sets": [text["sets"][0] | {"kind": "people"}]}, "set 0"),
        (lambda text: text | {"sets": [text["sets"][0] | {"pairs": [0, 99]}]}, "set 0"),
        (lambda text: text | {"sets": [text["sets"][0] | {"pairs": [0]}]}, "set 0"),
        (lambda text: text | {"sets": [text["sets"][0] | {"first": []}]}, "set 0"),
        (lambda text: text | {"sets": [text["sets"][0] | {"first": [{"name": "a"}]}]}, "set 0"),
        (lambda text: text | {"sets": [text["sets"][0] | {"first": text["sets"][0]["first"] * 2}]}, "set 0"),
        (
            lambda text: text | {"sets": [text["sets"][1] | {"second": text["sets"][0]["second"]}]},
            "set 0",
        ),
    ],
)
def test_a_bad_file_is_refused(change: Any, word: str, bundle: Bundle, tmp_path: Path) -> None:
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    files[combos.FILE] = json.dumps(change(json.loads(files[combos.FILE]))).encode()
    entries = {name: entry_of(content) for name, content in files.items()}
    bad = write(tmp_path / "bad", bundle.manifest.model_copy(update={"files": entries}), files)
    refused = judge_nothing(bad, tmp_path)
    assert refused.status != 0
    assert combos.FILE in refused.stderr and word in refused.stderr


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"file": "../x"}, "combos.file"),
        ({"repeat_s": -1}, "combos.repeat_s"),
        ({"repeat_s": None}, "combos.repeat_s"),
    ],
    ids=str,
)
def test_a_bad_section_is_refused(change: dict[str, Any], word: str, bundle: Bundle, tmp_path: Path) -> None:
    manifest = json.loads(bundle.manifest.model_dump_json())
    manifest["detectors"][-1] |= change
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    if "file" in change:
        files[change["file"]] = b"{}"
    (tmp_path / "made").mkdir()
    path = tmp_path / "made" / "manifest.json"
    for name, content in files.items():
        if "/" not in name:
            (path.parent / name).write_bytes(content)
    path.write_text(json.dumps(manifest))
    (tmp_path / "app.log").write_text("")
    refused = judge(path.parent, tmp_path / "run", [tmp_path / "app.log"])
    assert refused.status != 0
    assert word in refused.stderr


def judge_nothing(bundle: Bundle, folder: Path) -> Judged:
    (folder / "app.log").write_text("")
    return judge(bundle.path, folder / "run", [folder / "app.log"])
