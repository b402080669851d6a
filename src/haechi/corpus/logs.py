"""Log files read in chunks of whole lines, through the core's own reader."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from haechi.config.training import HeaderField, SessionBy
from haechi.corpus.sessions import NO_TIME, EventStream
from haechi.corpus.vocabulary import NO_TEMPLATE
from haechi.native import _core

CHUNK_BYTES = 8 << 20
SAMPLE_BYTES = 4 << 20
MAX_LINE_BYTES = 64 << 20
_CORE_UNSEEN = 0xFFFFFFFF


class CorpusError(Exception):
    """Logs that cannot be learned from; the sentence names the file."""


@dataclass(frozen=True)
class SessionRule:
    """docs/bundle.md, session.by: a complete rule, nothing left to choose."""

    by: SessionBy
    fields: tuple[HeaderField, ...] = ()
    prefix: str = ""
    seconds: int = 0

    def __str__(self) -> str:
        match self.by:
            case "fields":
                return "+".join(self.fields)
            case "value":
                return f"values that start with {self.prefix}"
            case "time":
                return "+".join((f"every {self.seconds} s", *self.fields))
        return "all lines as one session"


@dataclass(frozen=True)
class Logs:
    """The events of log files, and what was counted on the way."""

    stream: EventStream
    lines: int
    malformed: int

    @property
    def time_us(self) -> tuple[int, int] | None:
        """The first and last event time, None where no line has one."""
        known = self.stream.time_us[self.stream.time_us != NO_TIME]
        return (int(known.min()), int(known.max())) if len(known) else None


def chunks(paths: Sequence[Path], limit: int | None = None) -> Iterator[bytes]:
    """The files' bytes one after the other, cut after newlines; at most some limit bytes of each.

    CorpusError for what cannot be read, is a folder, or has no newline in MAX_LINE_BYTES.
    """
    for path in paths:
        left = limit if limit is not None else -1
        try:
            with path.open("rb") as file:
                while left and (data := file.read(min(CHUNK_BYTES, left) if left > 0 else CHUNK_BYTES)):
                    left -= min(left, len(data)) if left > 0 else 0
                    if not data.endswith(b"\n"):
                        data += file.readline(MAX_LINE_BYTES)
                        if len(data) > MAX_LINE_BYTES:
                            raise CorpusError(
                                f"{path}: a line is longer than {MAX_LINE_BYTES >> 20} MiB; not a text log"
                            )
                    yield data if data.endswith(b"\n") else data + b"\n"
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read: {error.strerror}") from None


def sample(paths: Sequence[Path], limit: int = SAMPLE_BYTES) -> bytes:
    """The first lines of each file, as many bytes of each; CorpusError for binary junk and empty logs."""
    parts = []
    for path in paths:
        part = b"".join(chunks([path], max(limit // len(paths), 1)))
        if part.count(b"\0") > len(part) // 100:
            raise CorpusError(f"{path}: is not a text log: more than one byte in a hundred is NUL")
        parts.append(part)
    whole = b"".join(parts)
    if not whole.strip():
        names = ", ".join(str(path) for path in paths)
        raise CorpusError(f"{names}: no lines to learn from")
    return whole


def choose_format(head: bytes, named: str) -> str:
    """The header format to read with: the one named, or for "auto" what fits these lines.

    CorpusError where the format is not known, or fits fewer than half of them.
    """
    spec = _core.format_detect(head[: 1 << 20]) if named == "auto" else named
    try:
        records = _core.parse(head[: 1 << 20], spec)
    except _core.CoreError as error:
        raise CorpusError(f"format: {error}") from None
    malformed = int(records["malformed"].sum())
    if malformed * 2 > len(records["malformed"]):
        at = int(np.argmax(records["malformed"]))
        line = head.split(b"\n", at + 1)[at][:120].decode("utf-8", "replace")
        raise CorpusError(
            f"format {spec!r} fits fewer than half of the first lines; it does not fit: {line!r}"
        )
    return spec


def mine(paths: Sequence[Path], format_spec: str, max_templates: int, max_tokens: int) -> bytes:
    """The text of templates.json for every line of these files."""
    miner = _core.Miner(max_templates=max_templates, max_tokens=max_tokens)
    for data in chunks(paths):
        miner.learn_log(data, format_spec)
    return miner.finish()


def read(
    paths: Sequence[Path],
    format_spec: str,
    matcher: _core.Matcher,
    rule: SessionRule,
    limit: int | None = None,
) -> Logs:
    """Every line as events; limit as for chunks."""
    front = _core.Front(
        format_spec, matcher, by=rule.by, fields=list(rule.fields), prefix=rule.prefix, seconds=rule.seconds
    )
    keys, sessions, times = [], [], []
    lines = malformed = 0
    for data in chunks(paths, limit):
        events = front.read(data)
        key = events["key"]
        keys.append(np.where(key == _CORE_UNSEEN, NO_TEMPLATE, key.astype(np.int64)).astype(np.int32))
        sessions.append(events["session"])
        times.append(events["time_us"])
        lines += events["lines"]
        malformed += events["malformed"]
    stream = EventStream(
        key=np.concatenate(keys) if keys else np.empty(0, np.int32),
        session=np.concatenate(sessions) if sessions else np.empty(0, np.uint64),
        time_us=np.concatenate(times) if times else np.empty(0, np.int64),
    )
    return Logs(stream, lines, malformed)
