"""Setting what was planned, with a record of what was there, and setting it back."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haechi.tune.settings import SYSCTL_FILE_HEAD, Change, read_value, value_path

STATE = Path("/var/lib/haechi/tune.json")
_FORMAT = 1


class TuneError(Exception):
    """A sentence for the user."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change; `refused` is a sentence, or None where it is done."""

    name: str
    value: str
    refused: str | None


def apply(changes: Sequence[Change], state: Path, root: Path) -> list[Outcome]:
    """Records what is there, then sets each value; one that is refused does not keep the others from it.

    A second call keeps the first one's record, so that undoing always leads back to the beginning."""
    if not changes:
        return []
    recorded = _read_state(state) if state.exists() else {}
    before = {change.name: change.before for change in changes} | recorded
    _write_state(state, before)
    outcomes = [_set(change.name, change.after, root) for change in changes]
    refused = {outcome.name for outcome in outcomes if outcome.refused} - recorded.keys()
    kept = {name: value for name, value in before.items() if not _untouched(name, value, refused, root)}
    _store(state, kept)
    return outcomes


def undo(state: Path, root: Path) -> list[Outcome]:
    """Sets back what the record says, the last first. What cannot be set back stays in the record."""
    if not state.exists():
        raise TuneError(f"{state} is not there: nothing was applied, or it is undone already")
    recorded = _read_state(state)
    outcomes = [_set(name, value, root) for name, value in reversed(recorded.items())]
    refused = {outcome.name for outcome in outcomes if outcome.refused}
    _store(state, {name: value for name, value in recorded.items() if name in refused})
    return outcomes


def write_sysctl_file(path: Path, text: str) -> None:
    """Only in place of nothing, or of a file that this wrote."""
    if path.exists() and not path.read_text(errors="replace").startswith(SYSCTL_FILE_HEAD):
        raise TuneError(f"{path} is there and was not made by haechi tune; name another file")
    _replace(path, text, 0o644)


def _untouched(name: str, before: str, refused: set[str], root: Path) -> bool:
    return name in refused and read_value(value_path(root, name)) == before


def _set(name: str, value: str, root: Path) -> Outcome:
    path = value_path(root, name)
    try:
        # Opened as it is: a file that is not there is no setting, and must not be made.
        with open(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC), "w") as file:
            file.write(value + "\n")
    except OSError as error:
        return Outcome(name, value, _explain(path, error))
    now = read_value(path)
    if now != value:
        return Outcome(name, value, f"{path} was given {value} and says {now}")
    return Outcome(name, value, None)


def _explain(path: Path, error: OSError) -> str:
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{path} may not be written ({error.strerror}), as in a container: set it on the host"
    if error.errno == errno.ENOENT:
        return f"{path} is not there"
    return f"{path}: {error.strerror}"


# --- the record


def _read_state(state: Path) -> dict[str, str]:
    """Names and values, in the order they were set. Only names of settings are taken: what root sets back
    must not be a path that somebody wrote into a file."""
    try:
        whole: Any = json.loads(state.read_text())
        if whole["format"] != _FORMAT:
            raise TuneError(f"{state}: format {whole['format']!r} is not {_FORMAT}; another haechi made it")
        before: dict[str, str] = whole["before"]
        for name, value in before.items():
            value_path(Path("/"), name)
            if not isinstance(value, str):
                raise TypeError(f"{name} is not text")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TuneError(f"{state} is not a record of haechi tune's: {error}") from None
    return before


def _store(state: Path, before: dict[str, str]) -> None:
    if before:
        _write_state(state, before)
    else:
        state.unlink()


def _write_state(state: Path, before: dict[str, str]) -> None:
    state.parent.mkdir(parents=True, exist_ok=True)
    _replace(state, json.dumps({"format": _FORMAT, "before": before}, indent=2) + "\n", 0o600)


def _replace(path: Path, text: str, mode: int) -> None:
    """The whole file or the old one, also after a power cut."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
