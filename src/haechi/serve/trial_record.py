"""What is kept of a trial: its record, a file beside its report, read again by the next server."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from haechi.trial.writing import REPORT, ReportError, read_report

State = Literal["running", "stopping", "done", "failed", "interrupted"]

RECORD = "trial.json"
RECORD_MAX_BYTES = 16 << 20


class TrialView(BaseModel):
    """One trial; its progress is that of its last moment, once it has ended."""

    model_config = ConfigDict(allow_inf_nan=False)

    id: str
    scenario: str
    state: State
    started: str
    ended: str | None = None
    error: str | None = Field(default=None, description="Why there is no result, in a sentence.")
    scale_time: float
    scale_rate: float
    passed: bool | None = Field(default=None, description="Whether every criterion is met; null: not known.")
    grade: str | None = Field(default=None, description="A+, A, B, C or D.")
    exit_code: int | None = Field(default=None, description="Of haechi trial; negative: a signal's number.")
    progress: dict[str, Any] = Field(
        description="Steps, criteria, and the last samples: [s, target_eps, eps, loss_ratio, latency_p99_us]."
    )


def write(folder: Path, record: TrialView) -> None:
    """OSError where it cannot be; an older one is whole then."""
    new = folder / f".{RECORD}.{os.getpid()}"
    try:
        new.write_text(record.model_dump_json(), encoding="utf-8")
        new.replace(folder / RECORD)
    finally:
        new.unlink(missing_ok=True)


def kept(folder: Path) -> TrialView | None:
    """The record of a trial of an earlier server; None where there is none that can be read."""
    try:
        file = folder / RECORD
        if folder.is_symlink() or file.stat().st_size > RECORD_MAX_BYTES:
            return None
        record = TrialView.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None
    if record.id != folder.name:
        return None
    if record.state in ("running", "stopping"):
        # The server was gone before the trial; the report is all that tells of its end.
        record = record.model_copy(update={"ended": _written(folder), "error": None})
        record = settled(folder, record, stopped=True, said="")
    return record


def settled(folder: Path, record: TrialView, stopped: bool, said: str) -> TrialView:
    """With what its report says."""
    try:
        report = read_report(folder)
        state = str(report["state"])
        result = {
            "state": "done" if state in ("met", "missed") else state,
            "passed": {"met": True, "missed": False}.get(state),
            "error": report["failure"],
            "grade": report["grade"]["letter"],
        }
        return TrialView.model_validate(record.model_dump() | result)
    except (ReportError, ValidationError, KeyError, TypeError):
        pass
    words = "\n".join(line.removeprefix("haechi: ") for line in said.splitlines() if line.strip()).strip()
    if stopped:
        error = "it was ended before there was anything to report"
        return record.model_copy(update={"state": "interrupted", "error": error})
    error = words[-1000:] or f"it left no report; its exit status was {record.exit_code}"
    return record.model_copy(update={"state": "failed", "error": error})


def _written(folder: Path) -> str | None:
    with contextlib.suppress(OSError):
        moment = datetime.fromtimestamp((folder / REPORT).stat().st_mtime, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return None
