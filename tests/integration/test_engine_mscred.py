"""The engine's mscred against the reference: the same scores at the same moments, for any number of workers,
any batches, and through a restart."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from haechi.bundle.manifest import Manifest
from haechi.bundle.store import Bundle, entry_of, write
from haechi.models.mscred import AttentionConvLSTM, Mscred
from haechi.mscred.export import Reconstructor, onnx_of
from haechi.mscred.rootcause import LONGER, rank
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
SERIES = 4  # three log keys, and all else
KINDS = (*MESSAGES[:4], UNKNOWN[2])  # the last two are of the last series
ACTIVE_S, PAUSE_S = 150, 350
OFFSETS = (0, 3, 17, 40)  # where a stretch begins after a whole piece
LOW, HIGH = np.array([0.0, 0.1, 0.0, 0.2]), np.array([3.0, 2.5, 2.0, 3.5])
TOLERANCE = 1e-4


def limits() -> np.ndarray[Any, np.dtype[np.float32]]:
    draw = np.random.default_rng(3)
    return draw.uniform(0.01, 0.3, (len(WINDOWS), SERIES, SERIES)).astype(np.float32)


def made_bundle(folder: Path) -> tuple[Bundle, bytes]:
    """A bundle with mscred alone, its network as it was initialised, and everything an anomaly."""
    plain = make_bundle(folder / "plain", deeplog=None)
    model = Mscred(SERIES, HISTORY, seed=5).eval()
    for part in model.memory:
        assert isinstance(part, AttentionConvLSTM)
        torch.nn.init.normal_(part.peephole, std=0.3, generator=torch.Generator().manual_seed(1))
    network = onnx_of(model)
    matcher = Matcher(plain.file("templates.json"))
    keys = [int(matcher.match((m.format(n=1, m=1) + "\n").encode())[0]) for m in KINDS[: SERIES - 1]]
    section = {
        "name": "mscred",
        "file": "mscred.onnx",
        "interval_us": 1_000_000,
        "windows": list(WINDOWS),
        "step": STEP,
        "history": HISTORY,
        "series": [
            {"keys": own, "low": float(low), "high": float(high)}
            for own, low, high in zip([[k] for k in keys] + [[]], LOW, HIGH, strict=True)
        ],
        "limit": [[float(v) for v in window.ravel()] for window in limits()],
        "threshold": [0.0, 5.5, 5.5],
        "validation": {},
    }
    files = {"templates.json": plain.file("templates.json"), "mscred.onnx": network}
    changed = plain.manifest.model_dump(mode="json")
    changed["detectors"].append(section)
    changed["files"] = {name: entry_of(content).model_dump() for name, content in files.items()}
    return write(folder / "with", Manifest.model_validate(changed), files), network


def counts() -> np.ndarray[Any, np.dtype[np.int64]]:
    """[stretches, kinds, seconds] events."""
    draw = np.random.default_rng(9)
    rate = (
        2 + 2 * np.sin(np.arange(ACTIVE_S) / 9)[None, None] * np.array([1, 0.5, -1, 0.2, -0.3])[None, :, None]
    )
    found = draw.poisson(np.broadcast_to(rate, (len(OFFSETS), len(KINDS), ACTIVE_S)))
    found[:, 0, 0] += 1  # a stretch begins with its first second
    return np.asarray(found, dtype=np.int64)


def written(path: Path) -> Path:
    draw = np.random.default_rng(2)
    lines = []
    for stretch, of in enumerate(counts()):
        begin = stretch * (ACTIVE_S + PAUSE_S) + OFFSETS[stretch]
        for second in range(ACTIVE_S):
            rows = [m for kind, m in enumerate(KINDS) for _ in range(of[kind, second])]
            for at, message in zip(np.sort(draw.random(len(rows))), draw.permutation(rows), strict=True):
                text = str(message).format(n=draw.integers(10_000), m=draw.integers(100))
                lines.append((begin + second + 0.9 * at, text))
    lines.append((len(OFFSETS) * (ACTIVE_S + PAUSE_S) + 100, MESSAGES[0].format(n=1, m=1)))
    path.write_text("".join(log_line(at, 1 + i % 7, text) for i, (at, text) in enumerate(lines)))
    return path


def expected(network: bytes) -> list[dict[str, Any]]:
    """What the reference says of each stretch: when it is told, with which scores, and whom it blames."""
    model, limit, told = Reconstructor(network), limits(), []
    for stretch, of in enumerate(counts()):
        begin = stretch * (ACTIVE_S + PAUSE_S) + OFFSETS[stretch]
        skipped = -begin % STEP  # pieces begin at whole tens
        merged = np.concatenate([of[: SERIES - 1], of[SERIES - 1 :].sum(axis=0, keepdims=True)])
        merged = np.concatenate([merged, np.zeros((SERIES, 100), np.int64)], axis=1)[:, skipped:]
        scaled = (np.log1p(merged) - LOW[:, None]) / (HIGH - LOW)[:, None]
        left = residuals(model, signatures(scaled))
        above, below = scores(left, limit + TOLERANCE), scores(left, limit - TOLERANCE)
        assert (above[:10, 0] > 0).all(), "every moment that is looked at is to be over the threshold"
        for rule, least in zip(("short", "medium", "long"), (0, *LONGER), strict=True):
            moment = next(m for m in range(len(left)) if max((m - 1) * STEP, 0) >= least)
            end = begin + skipped + max(WINDOWS) + STEP * (HISTORY - 1 + moment)
            told.append(
                {
                    "rule": f"counts_{rule}",
                    "time": START + timedelta(seconds=end),
                    "low": above[moment],
                    "high": below[moment],
                    "blamed": int(rank(left[: moment + 1, 0], limit[0])[0]),
                    "events": merged[:, moment * STEP + 90 : moment * STEP + 100].sum(axis=1),
                }
            )
    return told


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, bytes, Path]:
    need_engine()
    folder = tmp_path_factory.mktemp("mscred")
    return *made_bundle(folder), written(folder / "app.log")


@pytest.fixture(scope="module")
def usual(room: tuple[Bundle, bytes, Path], tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judge(room[0].path, tmp_path_factory.mktemp("usual"), [room[2]])


def told(judged: Judged) -> list[dict[str, Any]]:
    assert judged.status == 0, judged.stderr
    return sorted((a for a in judged.alerts if a["detector"] == "mscred"), key=lambda a: str(a["time"]))


def test_scores_are_the_references(room: tuple[Bundle, bytes, Path], usual: Judged) -> None:
    alerts, wanted = told(usual), expected(room[1])
    assert len(alerts) == len(wanted) == 3 * len(OFFSETS)
    for alert, want in zip(alerts, wanted, strict=True):
        assert alert["rule"] == want["rule"]
        assert datetime.fromisoformat(alert["time"]) == want["time"]
        found = [scale["score"] for scale in alert["detail"]["scales"]]
        assert (want["low"] <= found).all() and (found <= want["high"]).all()
        assert alert["score"] == found[0] and alert["threshold"] == 0.0
        assert [scale["window_s"] for scale in alert["detail"]["scales"]] == list(WINDOWS)
        assert [scale["broke"] for scale in alert["detail"]["scales"]] == [
            s > t for s, t in zip(found, (0, 5.5, 5.5), strict=True)
        ]
        first = alert["detail"]["series"][0]
        keys = [series["keys"] for series in room[0].manifest.detectors[-1].model_dump()["series"]]
        assert (first["template"] is None) == (first["log_key"] is None)
        assert first["log_key"] == next(iter(keys[want["blamed"]]), None)
        assert first["events"] == want["events"][want["blamed"]]


def test_an_alert_says_what_it_is_about(usual: Judged) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    first, longer, longest = told(usual)[:3]
    for alert in (first, longer, longest):
        validator.validate(alert)
        assert alert["session"] == "all lines" and alert["stage"] == 2
        for series in alert["detail"]["series"]:
            assert " app[" in series["line"]  # a line of it, as it stood in the log
    assert [a["severity"] for a in (first, longer, longest)] == ["medium", "high", "critical"]
    assert [a["detail"]["lasted_s"] for a in (first, longer, longest)] == [0, 50, 80]
    assert first["reason"].startswith(
        "The counts of log keys do not go together as they usually do: over the last 10 s, "
    )


@pytest.mark.parametrize(
    "change",
    [{"workers": 2}, {"workers": 5, "batch_bytes": 4096}, {"batch_bytes": 4096}, {"batch_bytes": 1 << 20}],
    ids=str,
)
def test_the_same_for_any_workers_and_batches(
    change: dict[str, Any], room: tuple[Bundle, bytes, Path], usual: Judged, tmp_path: Path
) -> None:
    other = judge(room[0].path, tmp_path, [room[2]], **change)
    assert told(other) == told(usual)


def test_a_restart_changes_nothing(room: tuple[Bundle, bytes, Path], usual: Judged, tmp_path: Path) -> None:
    """Stopped after a part of the log, by the checkpoint of the input's end, and begun anew on more of it."""
    bundle, _, log = room
    lines = log.read_text().splitlines(keepends=True)
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
