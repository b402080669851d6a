"""report.json, report.html and report.md in one folder, and a report read back."""

from __future__ import annotations

import json
import os
from pathlib import Path

from haechi.trial import markdown, page
from haechi.trial.report import FORMAT, Json

REPORT = "report.json"
REPORT_MAX_BYTES = 256 << 20


class ReportError(Exception):
    """A file that is no report; says which and why."""


def write_reports(report: Json, folder: Path) -> None:
    """Each file whole or not at all. OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / REPORT, json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _write(folder / "report.html", page.render(report))
    _write(folder / "report.md", markdown.render(report))


def read_report(path: Path) -> Json:
    """Of a file, or of the folder that it was written to. ReportError."""
    file = path / REPORT if path.is_dir() else path
    try:
        if file.stat().st_size > REPORT_MAX_BYTES:
            raise ReportError(f"{file}: is larger than {REPORT_MAX_BYTES >> 20} MB, no report is")
        report = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ReportError(f"{file}: is not JSON") from None
    if not isinstance(report, dict) or not isinstance(report.get("figures"), dict):
        raise ReportError(f"{file}: is no report of a trial")
    if report.get("format") != FORMAT:
        raise ReportError(f"{file}: has the format {report.get('format')!r}; {FORMAT} is understood")
    return report


def _write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
