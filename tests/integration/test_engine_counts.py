"""counts in the engine: as the reference says, for any number of workers, through swaps and restarts."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from haechi.bundle.store import Bundle, entry_of, write
from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary
from haechi.native.tools import Process
from haechi.train.counts import CountsDetector, FittedCounts
from haechi.train.evidence import Evidence
from tests.integration.engine_room import (
    IDLE_S,
    ORDER,
    Judged,
    fill,
    judge,
    log_line,
    make_bundle,
    need_engine,
    read_alerts,
    settings,
    table_model,
)
from tests.integration.test_engine_crash import restarted, wait_until_quiet

KEYS = 40
LIMIT = 0.2
EVIDENCE = Evidence((0.0, 0.1), (0.5, 4.0), 30.0)
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "alert.schema.json").read_text())
)


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    need_engine()


def with_counts(bundle: Bundle, folder: Path, fitted: FittedCounts, *, model: bool = False) -> Bundle:
    """The same bundle with this detector; with its model, but so that this finds nothing odd, or without."""
    manifest = json.loads(bundle.manifest.model_dump_json())
    entry = fitted.entry()
    files = {name: bundle.file(name) for name in manifest["files"] if model or name != "deeplog.onnx"}
    files |= entry.files
    manifest["files"] = {name: entry_of(content).model_dump() for name, content in files.items()}
    manifest["detectors"] = [d for d in manifest["detectors"] if model or d["name"] == "new_event"]
    for silent in manifest["detectors"][1:]:
        silent |= dict.fromkeys(("unseen_surprise", "event_surprise", "session_surprise"), 1000.0)
    counts = {"name": "counts", **entry.section, "limit": LIMIT, "evidence": EVIDENCE.section()}
    manifest["detectors"].append(counts)
    return write(folder, type(bundle.manifest).model_validate(manifest), files)


def drawn_session(draw: random.Random) -> list[int]:
    """Some have more different keys than are counted."""
    kinds = draw.choice([1, 2, 5, 14, 15, 16, 17, 30, 31, 32, 36])
    keys = draw.sample(range(KEYS), kinds)
    return [key for key in keys for _ in range(draw.randint(1, 4))]


@pytest.mark.parametrize("workers", [1, 3])
def test_as_the_reference_says(workers: int, tmp_path: Path) -> None:
    draw = random.Random(3)
    sequences = [drawn_session(draw) for _ in range(400)]
    changed = [list(draw.choice(sequences)) for _ in range(400)]
    for sequence in changed:
        for _ in range(draw.randint(0, 3)):
            sequence.insert(draw.randrange(len(sequence) + 1), draw.randrange(KEYS))
    trained = range(KEYS - 3)
    fitted = CountsDetector(150).fit(Sessions.from_sequences(sequences), Vocabulary.of_keys(KEYS, trained))
    tried = Sessions.from_sequences(sequences + changed)
    score = np.nan_to_num(fitted.score(tried), nan=0.0)
    bundle = keys_bundle(tmp_path, list(trained), fitted)
    source = tmp_path / "sessions.keys"
    source.write_text(
        "".join(f"s{i}\t{' '.join(map(str, tried.sequence(i).tolist()))}\n" for i in range(len(tried)))
    )
    judged = judge(bundle.path, tmp_path / "run", [source], format="keys", workers=workers)
    assert judged.status == 0, judged.stderr
    found = {a["session"]: a for a in judged.alerts if a["detector"] == "counts"}
    want = {f"s{i}": float(score[i]) for i in np.flatnonzero(score > LIMIT)}
    assert found.keys() == want.keys()
    assert 50 < len(want) < 750
    for name, alert in found.items():
        SCHEMA.validate(alert)
        assert alert["score"] == pytest.approx(want[name], rel=1e-5)
        assert alert["evidence"] == pytest.approx(EVIDENCE.of(np.array([want[name]]))[0], rel=1e-4)
        assert alert["detectors"] == [{"name": "counts", "evidence": alert["evidence"]}]
        assert 1 <= len(alert["detail"]["counts"]) <= 3
        assert "instead of" in alert["reason"]


def keys_bundle(folder: Path, trained: list[int], fitted: FittedCounts) -> Bundle:
    """For sessions of known log keys."""
    base = make_bundle(folder / "base")
    manifest = json.loads(base.manifest.model_dump_json())
    texts = [{"text": f"E{n}", "tokens": ["x" * (n + 1)], "count": 0} for n in range(KEYS)]
    templates = json.dumps({"format": 1, "max_tokens": 256, "templates": texts}).encode()
    files = {"templates.json": templates, **fitted.entry().files}
    manifest |= {
        "files": {name: entry_of(content).model_dump() for name, content in files.items()},
        "parser": {"format": "keys"},
        "log_keys": KEYS,
        "session": {"by": "all", "idle_s": 60, "max_open": 4096},
        "detectors": [
            {"name": "new_event", "trained_keys": trained, "repeat_s": 600},
            {
                "name": "counts",
                **fitted.entry().section,
                "limit": LIMIT,
                "evidence": EVIDENCE.section(),
            },
        ],
    }
    return write(folder / "bundles", type(base.manifest).model_validate(manifest), files)


# --- lines of sessions that are open for a while ------------------------------------------------------------


def flow(draw: random.Random, count: int) -> list[str]:
    """Sessions of one to four rounds, some with one line too many or one missing."""
    lines = []
    rounds: dict[int, list[str]] = {}
    pid = 0
    for step in range(count):
        while len(rounds) < 20:
            pid += 1
            messages = list(ORDER) * draw.randint(1, 4)
            if draw.random() < 0.1:
                messages.insert(draw.randrange(len(messages)), draw.choice(ORDER))
            elif draw.random() < 0.1:
                del messages[draw.randrange(len(messages))]
            rounds[pid] = messages
        chosen = draw.choice(list(rounds))
        lines.append(log_line(step * 0.05, chosen, fill(rounds[chosen].pop(0), draw)))
        if not rounds[chosen]:
            del rounds[chosen]
    return [*lines, log_line(count * 0.05 + 4 * IDLE_S, 0, fill(ORDER[0], draw))]


def whole_rounds(bundle: Bundle) -> FittedCounts:
    """Normal is one to four rounds of the order."""
    keys = bundle.manifest.new_event.trained_keys
    vocabulary = Vocabulary.of_keys(bundle.manifest.log_keys, keys)
    return CountsDetector(100).fit(
        Sessions.from_sequences([list(keys) * n for n in (1, 2, 3, 4)]), vocabulary
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    base = make_bundle(tmp_path_factory.mktemp("base"))
    return with_counts(base, tmp_path_factory.mktemp("counts"), whole_rounds(base))


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return flow(random.Random(5), 4000)


@pytest.fixture(scope="module")
def usual(bundle: Bundle, lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("usual")
    (folder / "app.log").write_text("".join(lines))
    return judge(bundle.path, folder, [folder / "app.log"])


def odd_ones(alerts: list[dict[str, Any]]) -> dict[str, float]:
    return {alert["session"]: alert["score"] for alert in alerts if alert["detector"] == "counts"}


@pytest.mark.parametrize("change", [{"workers": 4}, {"batch_bytes": 4096}], ids=str)
def test_same_alerts(
    change: dict[str, Any], bundle: Bundle, lines: list[str], usual: Judged, tmp_path: Path
) -> None:
    assert len(odd_ones(usual.alerts)) >= 15
    (tmp_path / "app.log").write_text("".join(lines))
    other = judge(bundle.path, tmp_path / "other", [tmp_path / "app.log"], **change)
    assert odd_ones(other.alerts) == odd_ones(usual.alerts)


def with_window(length: int, folder: Path) -> Bundle:
    """A model beside counts, whose windows hold all of the shorter sessions."""
    model = functools.partial(table_model, window=length)
    base = make_bundle(folder / f"base{length}", model=model, window=length)
    return with_counts(base, folder / f"window{length}", whole_rounds(base), model=True)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 8, 13, 31])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_window_holds_is_judged_from_there(
    length: int, workers: int, lines: list[str], usual: Judged, tmp_path: Path
) -> None:
    (tmp_path / "app.log").write_text("".join(lines))
    bundle = with_window(length, tmp_path)
    other = judge(bundle.path, tmp_path / "run", [tmp_path / "app.log"], workers=workers)
    assert odd_ones(other.alerts) == odd_ones(usual.alerts)
    assert all(alert["detector"] != "deeplog" for alert in other.alerts)


@pytest.mark.parametrize("length", [3, 13])
def test_short_sessions_outlive_a_restart(
    length: int, lines: list[str], usual: Judged, tmp_path: Path
) -> None:
    alerts = restarted(with_window(length, tmp_path).path, tmp_path, lines, (1, 3, 2, 1))
    assert odd_ones(alerts) == odd_ones(usual.alerts)


def followed(bundle: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """An empty log, and the settings to follow it with."""
    log = folder / "app.log"
    log.write_bytes(b"")
    config = settings(
        bundle,
        folder,
        [log],
        follow=True,
        control_socket=str(folder / "control"),
        stats_page=str(folder / "stats"),
    )
    return log, config


def test_windows_change_under_open_sessions(lines: list[str], usual: Judged, tmp_path: Path) -> None:
    """Longer and shorter ones, and none: what has come of a session is never forgotten."""
    bundles = [with_window(length, tmp_path) for length in (8, 31, 4, 13)]
    base = make_bundle(tmp_path / "none")
    bundles.insert(2, with_counts(base, tmp_path / "without", whole_rounds(base)))
    log, config = followed(bundles[0].path, tmp_path)
    with Process.start("haechi-detect", config) as engine:
        for number, next_one in enumerate([*bundles[1:], bundles[0]]):
            with log.open("a") as file:
                file.writelines(lines[number * 800 : (number + 1) * 800])
            wait_until_quiet(engine, tmp_path, still_s=0.3)
            with engine.control() as control:
                assert control.ask("load_bundle", path=str(next_one.path))["ok"]
        with log.open("a") as file:
            file.writelines(lines[4000:])
        wait_until_quiet(engine, tmp_path, still_s=0.3)
    assert odd_ones(read_alerts(tmp_path / "alerts.jsonl")) == odd_ones(usual.alerts)


def test_counts_outlive_a_restart(bundle: Bundle, lines: list[str], usual: Judged, tmp_path: Path) -> None:
    """Stopped in the middle of sessions, begun again with another number of workers."""
    alerts = restarted(bundle.path, tmp_path, lines, (1, 3, 2, 1))
    assert odd_ones(alerts) == odd_ones(usual.alerts)


def test_what_began_before_the_detector_was_there_is_not_judged(
    bundle: Bundle, lines: list[str], usual: Judged, tmp_path: Path
) -> None:
    """A bundle without counts, then one with it: only sessions that began afterwards have an alert."""
    plain = make_bundle(tmp_path / "plain", deeplog=None)
    log, config = followed(plain.path, tmp_path)
    with Process.start("haechi-detect", config) as engine:
        with log.open("a") as file:
            file.writelines(lines[:2000])
        wait_until_quiet(engine, tmp_path, still_s=0.3)
        with engine.control() as control:
            assert control.ask("load_bundle", path=str(bundle.path))["ok"]
        with log.open("a") as file:
            file.writelines(lines[2000:])
        wait_until_quiet(engine, tmp_path, still_s=0.3)
    found = odd_ones(read_alerts(tmp_path / "alerts.jsonl"))
    begun = {line.split("[")[1].split("]")[0] for line in lines[:2000]}
    want = {name: score for name, score in odd_ones(usual.alerts).items() if name.split()[-1] not in begun}
    assert found == want
    assert want


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"limit": 2}, "0 to 1 is needed"),
        ({"limit": "x"}, "0 to 1 is needed"),
        ({"file": "../counts.json"}, "not a file's name"),
        ({"evidence": {"at": [1, 1], "nats": [0, 1], "slope": 1}}, "ascending"),
        ({"evidence": {"at": [1], "nats": [0, 1], "slope": 1}}, "same length"),
        ({"content": '{"format": 2, "vectors": [[0, 1]]}'}, "format 1 is needed"),
        ({"content": '{"format": 1, "vectors": []}'}, "1 to 65536 vectors"),
        ({"content": '{"format": 1, "vectors": [[0]]}'}, "vector 0"),
        ({"content": '{"format": 1, "vectors": [[0, 1], [1, 1, 0, 1]]}'}, "vector 1"),
        ({"content": '{"format": 1, "vectors": [[99, 1]]}'}, "vector 0"),
        ({"content": '{"format": 1, "vectors": [[0, 0]]}'}, "vector 0"),
        ({"content": '{"format": 1, "vectors": [["a", 1]]}'}, "vector 0"),
        ({"content": "junk"}, "format 1 is needed"),
    ],
    ids=str,
)
def test_a_bad_section_is_refused(change: dict[str, Any], word: str, bundle: Bundle, tmp_path: Path) -> None:
    """Written past the checks of the bundle's writer, with right digests."""
    folder = tmp_path / "bad"
    folder.mkdir()
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    if "content" in change:
        files["counts.json"] = change.pop("content").encode()
    manifest = json.loads(bundle.manifest.model_dump_json())
    manifest["files"] = {name: entry_of(content).model_dump() for name, content in files.items()}
    manifest["detectors"][-1] |= change
    for name, content in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
        (folder / name).write_bytes(content)
    (tmp_path / "app.log").write_text("")
    refused = judge(folder, tmp_path / "run", [tmp_path / "app.log"])
    assert refused.status != 0
    assert word in refused.stderr
