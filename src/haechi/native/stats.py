"""Reader of the stats page that every tool maps (core/include/haechi/stats.h): the file says itself what is
where, so no layout is copied here beyond its header."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

MAGIC = b"HXSTATS1"
COUNTER, GAUGE, HISTOGRAM = 1, 2, 3
WHOLE_TOOL = 0xFFFFFFFF

_HEADER = struct.Struct("<8sIIIIQQ24s")
_ENTRY = struct.Struct("<40sIIQQ")
_HISTOGRAM = struct.Struct("<3Q592Q")
_LINEAR = 16  # values below have a bucket each; above, every power of two has as many


class StatsError(Exception):
    """The file is not a stats page, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per log-linear bucket; two of them add up to one."""

    count: int
    sum: int
    max: int
    buckets: tuple[int, ...]

    @property
    def mean(self) -> float:
        return self.sum / self.count if self.count else 0.0

    def quantile(self, q: float) -> int:
        """The value below which a share q (0..1) of the recorded ones lie, to its bucket's upper edge (at
        most 1/16 too high); 0 when nothing was recorded."""
        wanted = q * self.count
        seen = 0
        for bucket, n in enumerate(self.buckets):
            seen += n
            if n and seen >= wanted:
                return min(bucket_floor(bucket + 1) - 1, self.max)
        return 0

    def __add__(self, other: Histogram) -> Histogram:
        buckets = tuple(a + b for a, b in zip(self.buckets, other.buckets, strict=True))
        return Histogram(self.count + other.count, self.sum + other.sum, max(self.max, other.max), buckets)


def bucket_floor(bucket: int) -> int:
    """The smallest value that a bucket counts."""
    if bucket < _LINEAR:
        return bucket
    exponent = bucket // _LINEAR + 3
    return (_LINEAR + bucket % _LINEAR) << (exponent - 4)


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    kind: int
    worker: int
    offset: int


class StatsPage:
    """An open stats page. Values are read as they are at the moment; each is written by one thread only, so
    no read is torn, but two reads are not of one instant."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with self.path.open("rb") as file:
            try:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise StatsError(f"{path}: is empty, not a stats page") from None
        try:
            self._read_header()
        except BaseException:
            self._map.close()
            raise

    def _read_header(self) -> None:
        if len(self._map) < _HEADER.size:
            raise StatsError(f"{self.path}: {len(self._map)} bytes are too few for a stats page")
        magic, entries, entry_bytes, workers, pid, started_us, total, tool = _HEADER.unpack_from(self._map)
        if magic != MAGIC:
            raise StatsError(f"{self.path}: starts with {magic!r}, a stats page with {MAGIC!r}")
        table = _HEADER.size + entries * entry_bytes
        if entry_bytes < _ENTRY.size or total > len(self._map) or table > total:
            raise StatsError(f"{self.path}: is cut short: {len(self._map)} of {max(total, table)} bytes")
        self.workers: int = workers
        self.pid: int = pid
        self.started_us: int = started_us
        self.tool: str = _text(tool)
        self._entries = []
        for i in range(entries):
            name, kind, worker, offset, _ = _ENTRY.unpack_from(self._map, _HEADER.size + i * entry_bytes)
            size = _HISTOGRAM.size if kind == HISTOGRAM else 8
            if offset < table or offset + size > total:
                raise StatsError(f"{self.path}: {_text(name)} lies outside the page")
            self._entries.append(_Entry(_text(name), kind, worker, offset))

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(entry.name for entry in self._entries))

    def value(self, name: str, worker: int | None = None) -> int:
        """A counter or gauge, added up over the workers unless one is named. KeyError where there is none."""
        return sum(self._number(entry) for entry in self._find(name, (COUNTER, GAUGE), worker))

    def histogram(self, name: str, worker: int | None = None) -> Histogram:
        first, *rest = [self._histogram(entry) for entry in self._find(name, (HISTOGRAM,), worker)]
        for more in rest:
            first += more
        return first

    def snapshot(self) -> dict[str, int]:
        """Every counter and gauge, added up over the workers."""
        values: dict[str, int] = {}
        for entry in self._entries:
            if entry.kind != HISTOGRAM:
                values[entry.name] = values.get(entry.name, 0) + self._number(entry)
        return values

    def rows(self) -> list[dict[str, int]]:
        """Every counter and gauge of each worker, in one pass; the whole tool's are in `tool_row`."""
        rows: list[dict[str, int]] = [{} for _ in range(self.workers)]
        for entry in self._entries:
            if entry.kind != HISTOGRAM and entry.worker < self.workers:
                rows[entry.worker][entry.name] = self._number(entry)
        return rows

    def histograms(self, name: str) -> list[Histogram]:
        """Each worker's, in one pass; KeyError where there is none."""
        return [self._histogram(entry) for entry in self._find(name, (HISTOGRAM,), None)]

    def tool_row(self) -> dict[str, int]:
        """Every counter and gauge of the tool as a whole."""
        return {
            entry.name: self._number(entry)
            for entry in self._entries
            if entry.kind != HISTOGRAM and entry.worker == WHOLE_TOOL
        }

    def close(self) -> None:
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find(self, name: str, kinds: tuple[int, ...], worker: int | None) -> Iterator[_Entry]:
        found = [
            entry
            for entry in self._entries
            if entry.name == name and entry.kind in kinds and worker in (None, entry.worker)
        ]
        if not found:
            raise KeyError(f"{self.path}: no {name!r} among {', '.join(self.names)}")
        return iter(found)

    def _number(self, entry: _Entry) -> int:
        (value,) = struct.unpack_from("<Q" if entry.kind == COUNTER else "<q", self._map, entry.offset)
        return int(value)

    def _histogram(self, entry: _Entry) -> Histogram:
        count, total, largest, *buckets = _HISTOGRAM.unpack_from(self._map, entry.offset)
        return Histogram(count, total, largest, tuple(buckets))


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("ascii", "replace")
