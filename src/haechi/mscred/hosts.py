"""Which host each event of the logs is of, as the engine sees it: the header's host, where it is a name that
a bundle can hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from haechi.corpus.logs import SessionRule, chunks
from haechi.native import _core

NO_HOST = 0
LONGEST = 255  # bytes; the engine knows no longer names


@dataclass(frozen=True)
class Hosts:
    """of: int32 [events], in the order of the lines; names[of] is the host's name, empty for NO_HOST."""

    of: npt.NDArray[np.int32]
    names: tuple[str, ...]


def hosts_of(logs: Sequence[Path], format_spec: str, matcher: _core.Matcher, rule: SessionRule) -> Hosts:
    """For the events that haechi.corpus.logs.read gives for the same arguments."""
    front = _core.Front(
        format_spec, matcher, by=rule.by, fields=list(rule.fields), prefix=rule.prefix, seconds=rule.seconds
    )
    known: dict[bytes, int] = {}
    names, parts = [""], [np.empty(0, dtype=np.int32)]
    for data in chunks(logs):
        of_line = _core.parse(data, format_spec)["fields"]["host"]
        for name in dict.fromkeys(of_line):
            if name not in known:
                text = _text(name)
                known[name] = NO_HOST if text is None else len(names)
                names += [] if text is None else [text]
        ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
        assert len(ends) == len(of_line)
        line = np.searchsorted(ends, front.read(data)["line"])
        parts.append(np.array([known[name] for name in of_line], dtype=np.int32)[line])
    return Hosts(np.concatenate(parts), tuple(names))


def _text(name: bytes) -> str | None:
    """A name that a bundle can hold as it is."""
    if not name or len(name) > LONGEST or b"\0" in name:
        return None
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None
