"""The engine's mscred against the reference: the same scores at the same moments, for any number of workers,
any batches, and through a restart."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import jsonschema
import numpy as np
import pytest
import torch

from haechi.bundle.manifest import Manifest
from haechi.bundle.store import Bundle, entry_of, write
from haechi.models.mscred import AttentionConvLSTM, Mscred
from haechi.mscred.counts import even
from haechi.mscred.export import Reconstructor, onnx_of
from haechi.mscred.rootcause import LONGER, MIDDLE, RAISED, SEEN, lengths, rank
from haechi.mscred.score import residuals, scores
from haechi.mscred.signature import HISTORY, STEP, WINDOWS, signatures
from haechi.native._core import Matcher
from tests.integration.engine_room import (
    MESSAGES,
    START,
    UNKNOWN,
    Judged,
    judge,
    log_line,
    make_bundle,
    need_engine,
)

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "alert.schema.json"
SERIES = 4  # three of their own, and all else
KINDS = (*MESSAGES[:4], UNKNOWN[2])
HOSTS = ("web1", "web2", "db", "mail")
OWN = {  # each series' kind and host, by their places; None: any
    "key": ((0, None), (1, None), (2, None)),
    "host": ((None, 0), (None, 1), (None, 2)),
    "host_key": ((0, 0), (1, 0), (0, 1)),
}
By = Literal["key", "host", "host_key"]
ACTIVE_S, PAUSE_S = 150, 350
OFFSETS = (0, 3, 17, 40)  # where a stretch begins after a whole piece
LOW, HIGH = np.array([0.0, 0.1, 0.0, 0.2]), np.array([3.0, 2.5, 2.0, 3.5])
THRESHOLD = (0.5, 9.5, 5.5)
TOLERANCE = 1e-4


def limits() -> np.ndarray[Any, np.dtype[np.float32]]:
    draw = np.random.default_rng(3)
    return draw.uniform(0.01, 0.3, (len(WINDOWS), SERIES, SERIES)).astype(np.float32)


def made_bundle(folder: Path, by: By) -> tuple[Bundle, bytes]:
    """A bundle with mscred alone, its network as it was initialised, and everything an anomaly."""
    plain = make_bundle(folder / "plain", deeplog=None)
    model = Mscred(SERIES, HISTORY, seed=5).eval()
    for part in model.memory:
        assert isinstance(part, AttentionConvLSTM)
        torch.nn.init.normal_(part.peephole, std=0.3, generator=torch.Generator().manual_seed(1))
    network = onnx_of(model)
    matcher = Matcher(plain.file("templates.json"))
    keys = [int(matcher.match((m.format(n=1, m=1) + "\n").encode())[0]) for m in KINDS[: SERIES - 1]]
    series = [
        ({} if host is None else {"host": HOSTS[host]}) | {"keys": [] if kind is None else [keys[kind]]}
        for kind, host in (*OWN[by], (None, None))
    ]
    section = {
        "name": "mscred",
        "file": "mscred.onnx",
        "interval_us": 1_000_000,
        "windows": list(WINDOWS),
        "step": STEP,
        "history": HISTORY,
        "series": [
            named | {"low": float(low), "high": float(high)}
            for named, low, high in zip(series, LOW, HIGH, strict=True)
        ],
        "limit": [[float(v) for v in window.ravel()] for window in limits()],
        "threshold": list(THRESHOLD),
        "validation": {},
    } | ({} if by == "key" else {"by": by, "values": "root", "finds": "any"})  # older bundles say nothing
    files = {"templates.json": plain.file("templates.json"), "mscred.onnx": network}
    changed = plain.manifest.model_dump(mode="json")
    changed["detectors"].append(section)
    changed["files"] = {name: entry_of(content).model_dump() for name, content in files.items()}
    return write(folder / "with", Manifest.model_validate(changed), files), network


def counts() -> np.ndarray[Any, np.dtype[np.int64]]:
    """[stretches, kinds, hosts, seconds] events."""
    draw = np.random.default_rng(9)
    kinds, hosts = np.array([1, 0.5, -1, 0.2, -0.3]), np.array([0.5, 0.2, 0.2, 0.1])
    rate = (2 + 2 * np.sin(np.arange(ACTIVE_S) / 9) * kinds[:, None])[:, None] * hosts[:, None]
    found = draw.poisson(np.broadcast_to(rate, (len(OFFSETS), *rate.shape)))
    found[:, 0, 0, 0] += 1  # a stretch begins with its first second
    return np.asarray(found, dtype=np.int64)


def by_series(of: np.ndarray[Any, np.dtype[np.int64]], by: By) -> np.ndarray[Any, np.dtype[np.int64]]:
    """[kinds, hosts, seconds] -> [series, seconds]."""
    series = np.full(of.shape[:2], SERIES - 1)
    for at, (kind, host) in enumerate(OWN[by]):
        series[slice(None) if kind is None else kind, slice(None) if host is None else host] = at
    return np.stack([of[series == at].sum(axis=0) for at in range(SERIES)])


def written(path: Path) -> Path:
    draw = np.random.default_rng(2)
    lines = []
    for stretch, of in enumerate(counts()):
        begin = stretch * (ACTIVE_S + PAUSE_S) + OFFSETS[stretch]
        for second in range(ACTIVE_S):
            rows = draw.permutation(np.repeat(np.arange(of[..., 0].size), of[..., second].ravel()))
            for at, row in zip(np.sort(draw.random(len(rows))), rows, strict=True):
                kind, host = divmod(int(row), len(HOSTS))
                text = KINDS[kind].format(n=draw.integers(10_000), m=draw.integers(100))
                lines.append((begin + second + 0.9 * at, text, HOSTS[host]))
    lines.append((len(OFFSETS) * (ACTIVE_S + PAUSE_S) + 100, MESSAGES[0].format(n=1, m=1), HOSTS[0]))
    path.write_text("".join(log_line(at, 1 + i % 7, text, host) for i, (at, text, host) in enumerate(lines)))
    return path


def expected(network: bytes, by: By) -> list[dict[str, Any]]:
    """What the reference says of each stretch: when it is told, with which scores, and whom it blames."""
    model, limit, told = Reconstructor(network), limits(), []
    windows = 1 if by == "key" else len(WINDOWS)
    for stretch, of in enumerate(counts()):
        begin = stretch * (ACTIVE_S + PAUSE_S) + OFFSETS[stretch]
        skipped = -begin % STEP  # pieces begin at whole tens
        merged = np.concatenate([by_series(of, by), np.zeros((SERIES, 100), np.int64)], axis=1)[:, skipped:]
        values = np.log1p(merged) if by == "key" else even(merged)
        left = residuals(model, signatures((values - LOW[:, None]) / (HIGH - LOW)[:, None]))
        score, above, below = (scores(left, limit + more) for more in (0, TOLERANCE, -TOLERANCE))
        over = score > np.array(THRESHOLD)
        over[:, windows:] = False
        steps = lengths(score[:, MIDDLE] > RAISED * THRESHOLD[MIDDLE])
        assert over[:10].any(axis=1).all(), "every moment that is looked at is to be over the threshold"
        at = 0
        for rule, least in zip(("short", "medium", "long"), (0, *LONGER), strict=True):
            at += int(np.flatnonzero(steps[at:] >= least)[0])
            ratio = (score / THRESHOLD)[: at + 1, :windows]
            worst = int(ratio.max(axis=1).argmax())
            told.append(
                {
                    "rule": f"counts_{rule}",
                    "time": START + timedelta(seconds=begin + skipped + SEEN + at * STEP),
                    "low": above[worst],
                    "high": below[worst],
                    "window": int(ratio[worst].argmax()),
                    "lasted": int(steps[at]),
                    "blamed": int(rank(left[: at + 1], limit, over[: at + 1])[0]),
                    "events": merged[:, at * STEP + 90 : at * STEP + 100].sum(axis=1),
                }
            )
    return told


@dataclass(frozen=True)
class Room:
    by: By
    bundle: Bundle
    network: bytes
    log: Path


@pytest.fixture(scope="module", params=("key", "host", "host_key"))
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Room:
    need_engine()
    folder = tmp_path_factory.mktemp("mscred")
    return Room(request.param, *made_bundle(folder, request.param), written(folder / "app.log"))


@pytest.fixture(scope="module")
def usual(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judge(room.bundle.path, tmp_path_factory.mktemp("usual"), [room.log])


def told(judged: Judged) -> list[dict[str, Any]]:
    assert judged.status == 0, judged.stderr
    return sorted((a for a in judged.alerts if a["detector"] == "mscred"), key=lambda a: str(a["time"]))


def test_scores_are_the_references(room: Room, usual: Judged) -> None:
    alerts, wanted = told(usual), expected(room.network, room.by)
    assert len(alerts) == len(wanted) == 3 * len(OFFSETS)
    for alert, want in zip(alerts, wanted, strict=True):
        assert alert["rule"] == want["rule"]
        assert datetime.fromisoformat(alert["time"]) == want["time"]
        found = [scale["score"] for scale in alert["detail"]["scales"]]
        assert (want["low"] <= found).all() and (found <= want["high"]).all()
        window = want["window"]
        assert alert["score"] == found[window] and alert["threshold"] == THRESHOLD[window]
        assert alert["detail"]["lasted_s"] == want["lasted"]
        assert [scale["window_s"] for scale in alert["detail"]["scales"]] == list(WINDOWS)
        assert [scale["broke"] for scale in alert["detail"]["scales"]] == [
            s > t for s, t in zip(found, THRESHOLD, strict=True)
        ]
        first = alert["detail"]["series"][0]
        named = room.bundle.manifest.detectors[-1].model_dump()["series"][want["blamed"]]
        assert (first["template"] is None) == (first["log_key"] is None)
        assert first["log_key"] == next(iter(named["keys"]), None)
        assert first.get("host") == named.get("host") == alert["detail"].get("host")
        assert ("host" in first) == (room.by != "key")
        assert first["events"] == want["events"][want["blamed"]]


def test_an_alert_says_what_it_is_about(room: Room, usual: Judged) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    first, longer, longest = told(usual)[:3]
    for alert in (first, longer, longest):
        validator.validate(alert)
        assert alert["session"] == "all lines" and alert["stage"] == 2
        for series in alert["detail"]["series"]:
            assert " app[" in series["line"]  # a line of it, as it stood in the log
    assert [a["severity"] for a in (first, longer, longest)] == ["medium", "high", "critical"]
    lasted = [a["detail"]["lasted_s"] for a in (first, longer, longest)]
    assert lasted[0] < LONGER[0] <= lasted[1] < LONGER[1] <= lasted[2]
    counted = {"key": "log keys", "host": "hosts", "host_key": "log keys of hosts"}[room.by]
    assert first["reason"].startswith(f"The counts of {counted} do not go together as they usually do: over ")
    for series in first["detail"]["series"]:
        assert (series.get("host") or series["template"] or "all rarer kinds together") in first["reason"]


@pytest.mark.parametrize(
    "change",
    [{"workers": 2}, {"workers": 5, "batch_bytes": 4096}, {"batch_bytes": 4096}, {"batch_bytes": 1 << 20}],
    ids=str,
)
def test_the_same_for_any_workers_and_batches(
    change: dict[str, Any], room: Room, usual: Judged, tmp_path: Path
) -> None:
    other = judge(room.bundle.path, tmp_path, [room.log], **change)
    assert told(other) == told(usual)


def test_a_series_without_events_is_not_to_blame(room: Room, usual: Judged, tmp_path: Path) -> None:
    """All other hosts never said a word in training, nor do they now."""
    if room.by != "host":
        return
    manifest = room.bundle.manifest.model_dump(mode="json")
    section = manifest["detectors"][-1]
    last = section["series"][-1]
    last["low"] = float(even(np.zeros(1, np.int64))[0])
    last["high"] = last["low"] + 1
    for window in section["limit"]:
        window[-SERIES:] = [1e-6] * SERIES  # its row is broken whatever it does
    files = {name: room.bundle.file(name) for name in manifest["files"]}
    bundle = write(tmp_path / "bundle", Manifest.model_validate(manifest), files)
    lines = room.log.read_text().splitlines(keepends=True)
    (tmp_path / "app.log").write_text("".join(line for line in lines if " mail " not in line))
    quiet, loud = (judge(bundle.path, tmp_path, [log]) for log in (tmp_path / "app.log", room.log))
    named = [{s["host"] for a in told(of) for s in a["detail"]["series"]} for of in (quiet, loud)]
    assert None not in named[0] and len(named[0]) == SERIES - 1
    assert None in named[1]  # where it speaks, it may be


@pytest.mark.parametrize("workers", [1, 3])
def test_what_comes_too_late_is_counted(workers: int, room: Room, usual: Judged, tmp_path: Path) -> None:
    lines = room.log.read_text().splitlines(keepends=True)
    late = 7
    middle = len(lines) // (2 * len(OFFSETS))  # of the first stretch
    (tmp_path / "app.log").write_text("".join([*lines[:middle], *lines[:late], *lines[middle:]]))
    found = judge(room.bundle.path, tmp_path, [tmp_path / "app.log"], workers=workers)
    assert usual.totals["mscred_late_events"] == usual.totals["mscred_unscored_moments"] == 0
    assert found.totals["mscred_late_events"] == late
    assert found.totals["mscred_unscored_moments"] == 0
    assert [a["detail"]["scales"] for a in told(found)] == [a["detail"]["scales"] for a in told(usual)]
    assert told(found)[-1]["detail"]["late_events"] == late


def test_a_restart_changes_nothing(room: Room, usual: Judged, tmp_path: Path) -> None:
    """Stopped after a part of the log, by the checkpoint of the input's end, and begun anew on more of it."""
    bundle = room.bundle
    lines = room.log.read_text().splitlines(keepends=True)
    grown = tmp_path / "grown.log"
    checkpoint = {"path": str(tmp_path / "checkpoint"), "interval_s": 3600}
    for share in (0.12, 0.2, 0.55, 0.9, 1.0):
        grown.write_text("".join(lines[: int(len(lines) * share)]))
        judged = judge(
            bundle.path,
            tmp_path,
            [grown],
            workers=1 + int(share * 4),
            checkpoint=checkpoint,
            close_at_end=False,
        )
    wanted, found = told(usual), told(judged)

    def about(alerts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [(a["time"], a["rule"], a["score"], json.dumps(a["detail"]["scales"])) for a in alerts]

    assert about(found) == about(wanted)
