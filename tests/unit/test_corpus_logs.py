"""From log files to events, and the session rule that is found from them."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from haechi.corpus import logs
from haechi.corpus.choice import bits_per_event, choose, choose_idle_s, value_prefixes
from haechi.corpus.logs import CorpusError, SessionRule, choose_format, chunks, mine, read, sample
from haechi.corpus.sessions import EventStream
from haechi.native import _core

TIMED = "{time:%Y-%m-%dT%H:%M:%S} {host} {process}[{pid}]: {message}"


def written(folder: Path, text: str | bytes, name: str = "a.log") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def line(second: int, process: str, pid: int, message: str, host: str = "node1") -> str:
    return (
        f"2025-03-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} "
        f"{host} {process}[{pid}]: {message}\n"
    )


# --- reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
def test_chunks_hold_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(logs, "CHUNK_BYTES", chunk)
    first = written(tmp_path, b"one\n\ntwo three\nlast", "1")
    second = written(tmp_path, b"x\n", "2")
    parts = list(chunks([first, second]))
    assert b"".join(parts) == b"one\n\ntwo three\nlast\nx\n"
    assert all(part.endswith(b"\n") for part in parts)


def test_chunks_stop_at_the_limit_but_after_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, b"abc\n" * 10)
    assert b"".join(chunks([path], limit=6)) == b"abc\nabc\n"


def folder_in_the_way(folder: Path) -> Path:
    (folder / "d").mkdir()
    return folder / "d"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "missing.log", r"missing\.log: cannot be read: No such file"),
        (folder_in_the_way, r"d: cannot be read: Is a directory"),
        (lambda d: written(d, b""), r"a\.log: no lines to learn from"),
        (lambda d: written(d, b"\n \n\n"), r"a\.log: no lines to learn from"),
        (lambda d: written(d, bytes(1000)), r"a\.log: is not a text log: more than one byte in a hundred"),
    ],
)
def test_what_cannot_be_learned_from_is_named(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        sample([make(tmp_path)])


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "CHUNK_BYTES", 100)
    monkeypatch.setattr(logs, "MAX_LINE_BYTES", 1000)
    with pytest.raises(CorpusError, match=r"a\.log: a line is longer than"):
        list(chunks([written(tmp_path, b"x" * 5000)]))


def test_the_format_named_must_fit(tmp_path: Path) -> None:
    head = b"".join(line(i, "cron", i, "job started").encode() for i in range(20))
    assert choose_format(head, TIMED) == TIMED
    with pytest.raises(CorpusError, match="fits fewer than half of the first lines; it does not fit: 'no"):
        choose_format(b"no header here\n" * 20, TIMED)
    with pytest.raises(CorpusError, match="format: "):
        choose_format(head, "no-such-preset")


def test_events_are_those_of_the_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(line(i, "cron", i % 3, "job started" if i % 2 else "job ended well") for i in range(60))
    path = written(tmp_path, text + "no header\n")
    matcher = _core.Matcher(mine([path], TIMED, 100, 64))
    whole = read([path], TIMED, matcher, SessionRule("fields", ("pid",)))
    assert (whole.lines, whole.malformed) == (61, 1)
    assert len(set(whole.stream.session.tolist())) == 3
    assert whole.stream.session[0] == whole.stream.session[3] != whole.stream.session[1]
    texts = [matcher.text(key) for key in whole.stream.key]
    assert texts[0] == texts[2] == "job ended well"
    span = whole.time_us
    assert span is not None
    assert span[1] - span[0] == 59_000_000

    monkeypatch.setattr(logs, "CHUNK_BYTES", 50)
    again = read([path], TIMED, matcher, SessionRule("fields", ("pid",)))
    assert again.stream.key.tolist() == whole.stream.key.tolist()
    assert again.stream.session.tolist() == whole.stream.session.tolist()
    assert (again.lines, again.malformed) == (61, 1)


# --- the session rule -------------------------------------------------------------------------------


def interleaved(flows: list[list[str]], seed: int) -> str:
    """Lines of the flows, each in its own order, otherwise shuffled, a second apart."""
    order = [i for i, flow in enumerate(flows) for _ in flow]
    random.Random(seed).shuffle(order)
    at = [iter(flow) for flow in flows]
    return "".join(next(at[i]).replace("TIME", str(second)) for second, i in enumerate(order))


def rendered(text: str) -> str:
    """TIME-less lines come as `second|process|pid|message`."""
    out = []
    for row in text.splitlines():
        second, process, pid, message = row.split("|")
        out.append(line(int(second), process, int(pid), message))
    return "".join(out)


def chosen(folder: Path, text: str) -> SessionRule:
    path = written(folder, text)
    matcher = _core.Matcher(mine([path], TIMED, 1000, 64))
    return choose([path], text.encode(), TIMED, matcher)


def test_ids_in_the_message_make_sessions(tmp_path: Path) -> None:
    steps = ["accepted by the gate", "written to the store", "sent to the mirror", "finished without error"]
    flows = [[f"TIME|worker|{i % 4}|order ord-{1000 + i} {step}\n" for step in steps] for i in range(60)]
    rule = chosen(tmp_path, rendered(interleaved(flows, 1)))
    assert (rule.by, rule.prefix) == ("value", "ord-")


def test_processes_make_sessions(tmp_path: Path) -> None:
    login = ["connection opened", "password accepted", "session started", "session closed"]
    failed = ["connection opened", "password refused", "connection dropped"]
    flows = [[f"TIME|sshd|{500 + i}|{step}\n" for step in (login if i % 3 else failed)] for i in range(60)]
    rule = chosen(tmp_path, rendered(interleaved(flows, 2)))
    assert (rule.by, rule.fields) == ("fields", ("pid",))


def test_what_does_not_recur_is_cut_by_the_clock(tmp_path: Path) -> None:
    draw = random.Random(3)
    words = ["fan speed changed", "disk is warm", "link is up", "link is down", "power is stable"]
    text = "".join(line(i * 10, "monitor", 1, draw.choice(words)) for i in range(500))
    rule = chosen(tmp_path, text)
    assert (rule.by, rule.fields, rule.seconds) == ("time", (), 300)


def test_value_prefixes() -> None:
    messages = [b"read blk_%d from disk-%d" % (i % 50, i % 2) for i in range(400)]
    assert value_prefixes(messages) == ["blk_"]
    assert value_prefixes([b"user bob logged in"] * 50) == []
    assert value_prefixes([b"once only id-%d" % i for i in range(400)]) == []


def test_bits_per_event_know_order_from_chance() -> None:
    n = 3000
    times = np.arange(n, dtype=np.int64)
    one = np.zeros(n, dtype=np.uint64)
    cycle = (np.arange(n) % 8).astype(np.int32)
    chance = np.random.default_rng(4).integers(0, 8, n).astype(np.int32)
    assert bits_per_event(EventStream(cycle, one, times)) < 0.2
    assert 2.9 < bits_per_event(EventStream(chance, one, times)) < 3.3
    # Two cycles at different paces are predictable apart, and not together.
    draw = np.random.default_rng(5).integers(0, 2, n)
    mixed = np.where(draw == 0, np.cumsum(draw == 0) % 8, 8 + np.cumsum(draw == 1) % 5).astype(np.int32)
    together = bits_per_event(EventStream(mixed, one, times))
    apart = bits_per_event(EventStream(mixed, draw.astype(np.uint64), times))
    assert apart < 0.3 < 1 < together


@pytest.mark.parametrize(("gap_s", "idle_s"), [(1, 60), (100, 300), (5000, 3600)])
def test_idle_follows_the_gaps(gap_s: int, idle_s: int) -> None:
    n = 200
    stream = EventStream(
        key=np.zeros(n, dtype=np.int32),
        session=(np.arange(n) // 100).astype(np.uint64),
        time_us=(1 + np.arange(n, dtype=np.int64) % 100 * gap_s) * 1_000_000,
    )
    assert choose_idle_s(stream) == idle_s
