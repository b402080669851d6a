"""What the engine's tests share: a bundle made in milliseconds, lines that fit it, runs of the executable.

The model is a table: the next log key's probabilities given the last token alone. Requests go round in one
order; another order, an unknown line or a key that was not trained on is an anomaly.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from haechi.bundle.manifest import DeepLog, Manifest
from haechi.bundle.store import TEMPLATES, Bundle, entry_of, write
from haechi.native._core import Matcher, Miner
from haechi.native.tools import ToolError, onnxruntime_library, tool_path

WINDOW = 3
IDLE_S = 60
RUN_S = 60.0  # no run of these tests may take longer
START = datetime(2026, 1, 5, tzinfo=UTC)

ORDER = (
    "open request {n}",
    "read block {n} of file {m}",
    "write reply {n} bytes",
    "close request {n}",
)
UNTRAINED = "retry after error {n}"
MESSAGES = (*ORDER, UNTRAINED)
OTHER_MESSAGES = ("aardvark {n} sleeps", "battery at {n} percent")
UNKNOWN = ("segfault at {n}", "disk {n} is on fire", "who is there?", "lorem ipsum {n} dolor {m}")


def fill(message: str, draw: random.Random) -> str:
    return message.format(n=draw.randrange(10_000), m=draw.randrange(100))


def templates(messages: Sequence[str] = MESSAGES) -> bytes:
    draw = random.Random(1)
    miner = Miner()
    miner.learn("".join(fill(m, draw) + "\n" for _ in range(60) for m in messages).encode())
    return miner.finish()


def table_model(
    keys: Sequence[int], log_keys: int, sure: float = 0.97, rest: float = 0.02, window: int = WINDOW
) -> bytes:
    """deeplog.onnx whose answer after the last key of `keys` is the next, round and round, or the end."""
    size = log_keys + 3
    begin, end = log_keys, log_keys + 1
    rows = np.full((size, size), (1 - sure) / (size - 1))
    after = {begin: keys[0], **dict(zip(keys, [*keys[1:], keys[0]], strict=True))}
    for last in range(size):
        rows[last, after.get(last, keys[0])] = sure
    last_of_round = keys[-1]
    rows[last_of_round] = rest / (size - 2)
    rows[last_of_round, [keys[0], end]] = 0.49
    rows /= rows.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):  # the logarithm of nought is what it should be
        table = np.log(rows).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["window", "newest"], ["last"], axis=1),
            helper.make_node("Gather", ["table", "last"], ["log_probability"], axis=0),
        ],
        "table",
        [helper.make_tensor_value_info("window", TensorProto.INT64, ["batch", window])],
        [helper.make_tensor_value_info("log_probability", TensorProto.FLOAT, ["batch", size])],
        [
            numpy_helper.from_array(np.array(window - 1, dtype=np.int64), "newest"),
            numpy_helper.from_array(table, "table"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def make_bundle(
    folder: Path,
    *,
    created: str = "2026-01-01T00:00:00Z",
    more_messages: bool = False,
    model: Callable[[Sequence[int], int], bytes] | None = None,
    **changes: Any,
) -> Bundle:
    """A bundle for the lines of this module. more_messages: with templates before theirs, so that the same
    lines have other log keys. model: instead of table_model. changes: of the manifest's fields; `session`,
    `new_event` and `deeplog` are merged into what stands there; deeplog=None leaves the model out."""
    text = templates((*OTHER_MESSAGES, *MESSAGES) if more_messages else MESSAGES)
    matcher = Matcher(text)
    keys = [int(matcher.match((fill(m, random.Random(2)) + "\n").encode())[0]) for m in MESSAGES]
    trained, log_keys = keys[: len(ORDER)], len(matcher)
    files = {TEMPLATES: text, "deeplog.onnx": (model or table_model)(trained, log_keys)}
    thresholds = {
        name: {"unseen": 12.0, "event": 3.0, "session": 2.0}.get(name.split("_")[0], 0.5)
        for name in DeepLog.model_fields
        if name.split("_")[-1] in ("nll", "surprise")
    }
    deeplog = {"name": "deeplog", "file": "deeplog.onnx", "begin": log_keys, "end": log_keys + 1}
    deeplog |= {"unseen": log_keys + 2, "rule": "likelihood", "top_k": 2, "validation": {}, **thresholds}
    session = {"by": "fields", "fields": ["host", "pid"], "idle_s": IDLE_S, "max_open": 4096}
    new_event = {"name": "new_event", "trained_keys": trained, "repeat_s": 600}
    detectors: list[Mapping[str, Any]] = [{**new_event, **changes.pop("new_event", {})}]
    if changes.get("deeplog", {}) is None:
        files.pop("deeplog.onnx")
        changes.pop("deeplog")
    else:
        detectors.append({**deeplog, **changes.pop("deeplog", {})})
    manifest = {
        "format": 1,
        "created": created,
        "haechi": "0",
        "parent": None,
        "files": {name: entry_of(content) for name, content in files.items()},
        "corpus": dict.fromkeys(("lines", "malformed", "sessions"), 0)
        | {"sources": [], "time_from": None, "time_to": None},
        "parser": {"format": "iso"},
        "log_keys": log_keys,
        "session": session | changes.pop("session", {}),
        "window": WINDOW,
        "detectors": detectors,
        **changes,
    }
    return write(folder, Manifest.model_validate(manifest), files)


def stamp(at_s: float) -> str:
    return (START + timedelta(seconds=at_s)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def log_line(at_s: float, pid: int, message: str, host: str = "web1") -> str:
    return f"{stamp(at_s)} {host} app[{pid}]: {message}\n"


def log_lines(count: int, seed: int, *, step_s: float = 0.05, odd: float = 0.02) -> Iterator[str]:
    """Sessions of one to four rounds, 20 at a time, with a share `odd` of lines that are out of order,
    untrained or unknown; the last lines come so late that every session before them is idle."""
    draw = random.Random(seed)
    open_sessions: dict[int, int] = {}
    next_pid = 1
    at_s = 0.0
    for _ in range(count - 2):
        at_s += step_s
        if len(open_sessions) < 20:
            open_sessions[next_pid] = 0
            next_pid += 1
        pid = draw.choice(list(open_sessions))
        message = ORDER[open_sessions[pid] % len(ORDER)]
        kind = draw.random() / odd
        if kind < 0.5:
            message = draw.choice(ORDER)
        elif kind < 0.7:
            message = UNTRAINED
        elif kind < 1.0:
            message = draw.choice(UNKNOWN)
        open_sessions[pid] += 1
        yield log_line(at_s, pid, fill(message, draw))
        if open_sessions[pid] % len(ORDER) == 0 and draw.random() < 0.4:
            del open_sessions[pid]
    for late in (1, 2):
        yield log_line(at_s + late * 4 * IDLE_S, 0, fill(ORDER[0], draw))


@dataclass(frozen=True)
class Judged:
    """What a run left behind."""

    status: int
    alerts: list[dict[str, Any]]
    totals: dict[str, Any]
    stderr: str

    @property
    def ids(self) -> list[str]:
        return [alert["id"] for alert in self.alerts]

    @property
    def about(self) -> set[tuple[Any, ...]]:
        """What was reported, without what depends on where the bytes came from."""
        return {about(alert) for alert in self.alerts}


def about(alert: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        alert["detector"],
        alert["rule"],
        alert["session"],
        alert["time"],
        alert["log_key"],
        alert["score"],
    )


def read_alerts(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    text = path.read_text()
    assert text == "" or text.endswith("\n"), "the last alert is not whole"
    return [json.loads(line) for line in text.split("\n")[:-1]]  # splitlines() knows other line ends too


def settings(bundle: Path, folder: Path, sources: Sequence[Path | str], **more: Any) -> dict[str, Any]:
    return {
        "bundle": str(bundle),
        "sources": [str(source) for source in sources],
        "alerts": str(folder / "alerts.jsonl"),
        "onnxruntime": str(onnxruntime_library()),
        **more,
    }


def judge(
    bundle: Path,
    folder: Path,
    sources: Sequence[Path | str],
    *,
    stdin: bytes | None = None,
    timeout_s: float = RUN_S,
    **more: Any,
) -> Judged:
    """Runs the executable to its end. The alerts are all that the file holds, earlier runs' too."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    totals = folder / "totals.json"
    totals.unlink(missing_ok=True)
    chosen = settings(bundle, folder, sources, summary=str(totals), **more)
    config.write_text(json.dumps(chosen))
    ran = subprocess.run(
        [tool_path("haechi-detect"), "--config", config],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    alerts = Path(chosen["alerts"])
    return Judged(
        ran.returncode,
        read_alerts(alerts) if alerts.is_file() else [],
        json.loads(totals.read_text()) if totals.exists() else {},
        ran.stderr.decode("utf-8", "replace"),
    )


def need_engine() -> None:
    try:
        tool_path("haechi-detect")
        onnxruntime_library()
    except ToolError as error:
        pytest.skip(str(error))
