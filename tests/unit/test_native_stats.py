"""The stats page's reader, on pages made here as core/include/haechi/stats.h describes them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from haechi.native.stats import Histogram, StatsError, StatsPage, bucket_floor

BUCKETS = 592


def page(tmp_path: Path, *, workers: int = 2, cut: int = 0, magic: bytes = b"HXSTATS1") -> Path:
    """Two workers with a counter, a gauge and a histogram each, and a counter of the tool."""
    block = 8 + 8 + 24 + 8 * BUCKETS
    entries = []
    values = b""
    table = 64 + 64 * (3 * workers + 1)
    for worker in range(workers):
        base = table + worker * block
        entries += [
            (b"lines", 1, worker, base),
            (b"open", 2, worker, base + 8),
            (b"wait_us", 3, worker, base + 16),
        ]
        buckets = [0] * BUCKETS
        buckets[5] = 3 * (worker + 1)
        values += struct.pack("<Qq3Q", 100 + worker, -worker, 3 * (worker + 1), 15 * (worker + 1), 5)
        values += struct.pack(f"<{BUCKETS}Q", *buckets)
    entries.append((b"reloads", 1, 0xFFFFFFFF, table + workers * block))
    values += struct.pack("<Q", 7)
    total = table + len(values)
    header = struct.pack(
        "<8sIIIIQQ24s", magic, len(entries), 64, workers, 4711, 1_000_000, total, b"haechi-test"
    )
    rows = b"".join(struct.pack("<40sIIQQ", name, kind, worker, at, 0) for name, kind, worker, at in entries)
    path = tmp_path / "stats"
    path.write_bytes((header + rows + values)[: total - cut])
    return path


def test_a_page_describes_itself(tmp_path: Path) -> None:
    with StatsPage(page(tmp_path)) as stats:
        assert (stats.tool, stats.pid, stats.workers, stats.started_us) == ("haechi-test", 4711, 2, 1_000_000)
        assert stats.names == ["lines", "open", "wait_us", "reloads"]
        assert stats.snapshot() == {"lines": 201, "open": -1, "reloads": 7}
        assert stats.value("lines") == 201
        assert stats.value("lines", worker=1) == 101
        assert stats.histogram("wait_us").count == 9
        assert stats.histogram("wait_us", worker=0).mean == 5
        assert stats.histogram("wait_us").quantile(0.5) == 5
        for name, ask in (("nothing", stats.value), ("wait_us", stats.value), ("lines", stats.histogram)):
            with pytest.raises(KeyError, match=name):
                ask(name)


def test_values_are_seen_as_they_change(tmp_path: Path) -> None:
    path = page(tmp_path, workers=1)
    with StatsPage(path) as stats, path.open("r+b") as writer:
        writer.seek(64 + 64 * 4)
        writer.write(struct.pack("<Q", 12345))
        writer.flush()
        assert stats.value("lines") == 12345


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "is empty"), (b"x" * 10, "too few"), (b"x" * 100, "starts with")],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "stats"
    path.write_bytes(content)
    with pytest.raises(StatsError, match=complaint):
        StatsPage(path)


@pytest.mark.parametrize("cut", [1, 8, 5000, 9700])
def test_a_page_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    with pytest.raises(StatsError, match="cut short"):
        StatsPage(page(tmp_path, cut=cut))


def test_an_entry_outside_the_page_is_refused(tmp_path: Path) -> None:
    path = page(tmp_path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<Q", content, 64 + 48, 1 << 40)
    path.write_bytes(content)
    with pytest.raises(StatsError, match="outside"):
        StatsPage(path)


def test_buckets_are_log_linear() -> None:
    floors = [bucket_floor(bucket) for bucket in range(BUCKETS)]
    assert floors[:17] == list(range(17))
    assert floors == sorted(set(floors))
    for value in (16, 31, 32, 1000, 123_456_789):
        exponent = value.bit_length() - 1
        bucket = (exponent - 3) * 16 + ((value >> (exponent - 4)) & 15)
        assert floors[bucket] <= value < floors[bucket + 1]


def test_quantiles_and_sums() -> None:
    def of(*values: int) -> Histogram:
        buckets = [0] * BUCKETS
        for value in values:
            buckets[max(b for b in range(BUCKETS) if bucket_floor(b) <= value)] += 1
        return Histogram(len(values), sum(values), max(values), tuple(buckets))

    both = of(*range(1, 501)) + of(*range(501, 1001))
    assert both.count == 1000
    assert both.mean == 500.5
    for q in (0.01, 0.5, 0.99, 1.0):
        assert q * 1000 <= both.quantile(q) <= q * 1000 * 17 / 16 + 1
    assert both.quantile(1.0) == 1000
    assert Histogram(0, 0, 0, (0,) * BUCKETS).quantile(0.5) == 0
