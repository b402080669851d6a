"""The binding: whole lines in, arrays out, refusals in the core's words."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haechi.native import _core

MESSAGES = (
    b"session opened for user root by uid 0\n"
    b"session opened for user alice by uid 1001\n"
    b"session opened for user bob by uid 1002\n"
    b"temperature above threshold\n"
)
LINE = b"<38>2025-08-30T10:15:30.123Z server01 sshd[77]: session opened for user root by uid 0"
UNSEEN = 0xFFFFFFFF


@pytest.fixture(scope="module")
def templates() -> bytes:
    miner = _core.Miner()
    assert miner.learn(MESSAGES) == 4
    return miner.finish()


@pytest.fixture(scope="module")
def matcher(templates: bytes) -> _core.Matcher:
    return _core.Matcher(templates)


def test_presets_are_named_and_described() -> None:
    presets = _core.format_presets()
    assert {"iso", "rfc3164", "rfc5424", "plain"} <= presets.keys()
    assert all(presets.values())


@pytest.mark.parametrize(
    ("data", "preset"),
    [
        (b"", "plain"),
        (b"\n\n", "plain"),
        ((LINE + b"\n") * 3, "iso"),
        ((LINE + b"\r\n\n") * 3, "iso"),
        (b"hello\n" * 3, "plain"),
    ],
)
def test_a_format_is_detected(data: bytes, preset: str) -> None:
    assert _core.format_detect(data) == preset


def test_records_have_a_row_a_line() -> None:
    records = _core.parse(LINE + b"\ngarbage\r\n" + LINE, "iso")
    assert records["malformed"].tolist() == [False, True, False]
    assert records["message"] == [LINE.split(b": ", 1)[1], b"garbage", LINE.split(b": ", 1)[1]]
    assert records["fields"]["host"] == [b"server01", b"", b"server01"]
    assert records["fields"]["pid"] == [b"77", b"", b"77"]
    assert records["time_us"].dtype == np.int64
    assert records["time_us"].tolist()[1] == np.iinfo(np.int64).min
    assert records["time_us"].tolist()[0] == 1_756_548_930_123_000


@pytest.mark.parametrize("spec", ["{time:%Q} {message}", "{", "no-such-preset", "iso\0"])
def test_a_wrong_format_is_refused_in_words(spec: str) -> None:
    with pytest.raises(_core.CoreError) as refused:
        _core.parse(b"x\n", spec)
    assert len(str(refused.value)) > 10
    assert refused.value.code < 0


def test_learned_lines_match_and_others_do_not(matcher: _core.Matcher) -> None:
    keys = matcher.match(MESSAGES + b"never heard of\n\nsession opened for user eve by uid 9")
    assert keys.dtype == np.uint32
    assert len(keys) == 7
    assert UNSEEN not in keys[:4]
    assert keys[4] == UNSEEN
    assert "temperature" in matcher.text(int(keys[3]))
    assert all(matcher.text(i) for i in range(len(matcher)))
    with pytest.raises(IndexError, match="is not below"):
        matcher.text(len(matcher))


def test_a_key_without_a_digit_is_no_kind_of_line_of_its_own() -> None:
    """Nor is it where it comes again, as the same message with another length of a number."""
    keys = ("YBK9XZMD9KuBF1j2oremQqGnx7qaMxh976k3X8M6TL0", "lkF4EY0j34yAh5QRzmNYYIaajNUTRuvVrtaQR6KSy7i")
    line = "Accepted publickey for root from 10.0.0.7 port {} ssh2: RSA SHA256:{}\n"
    miner = _core.Miner()
    miner.learn("".join(line.format(22, key) for key in keys).encode())
    matcher = _core.Matcher(miner.finish())
    without = "BKEFlQkECaWLbHixBQDRqkkCZJTNMPSQIEynQpTKHqK"
    log = [line.format(port, without) for port in (22, 23, 222, 2222)]
    log.append(line.format(22, "org.apache.hadoop.hdfs.server.datanode.DataXceiver"))
    assert matcher.match("".join(log).encode()).tolist() == [0, 0, 0, 0, UNSEEN]


def test_empty_input_gives_empty_arrays(matcher: _core.Matcher) -> None:
    assert len(matcher.match(b"")) == 0
    events = front(matcher).read(b"")
    assert len(events["key"]) == 0
    assert events["lines"] == 0
    assert _core.Miner().learn(b"") == 0


def test_headers_are_cut_off_for_learning(templates: bytes) -> None:
    miner = _core.Miner()
    log = b"".join(LINE.split(b": ")[0] + b": " + m + b"\r\n" for m in MESSAGES.splitlines())
    assert miner.learn_log(log + b"\n\nnonsense\n", "iso") == (4, 1)
    assert miner.finish() == templates


@pytest.mark.parametrize("text", [b"", b"{}", b"[", b'{"format": 99, "templates": []}', b"\xff" * 100])
def test_hostile_templates_are_refused(text: bytes) -> None:
    with pytest.raises(_core.CoreError):
        _core.Matcher(text)


def front(matcher: _core.Matcher, **rule: object) -> _core.Front:
    chosen = {"by": "fields", "fields": ["host", "process", "pid"], **rule}
    return _core.Front("iso", matcher, **chosen)  # type: ignore[arg-type]


def test_events_carry_key_session_time_and_place(matcher: _core.Matcher) -> None:
    other = LINE.replace(b"sshd[77]", b"sshd[78]")
    data = LINE + b"\n" + other + b"\nnonsense\n\n" + LINE
    events = front(matcher).read(data)
    assert events["line"].tolist() == [0, len(LINE) + 1, len(data) - len(LINE)]
    assert events["session"][0] == events["session"][2] != events["session"][1]
    assert events["first_of_line"].tolist() == [True] * 3
    assert events["time_us"][0] == 1_756_548_930_123_000
    assert (events["lines"], events["malformed"], events["unseen"]) == (4, 1, 0)


def test_a_session_has_a_name(matcher: _core.Matcher) -> None:
    data = b"nonsense\n" + LINE + b"\n"
    named = front(matcher)
    assert named.session_name(data, 9) == "server01 sshd 77"
    with pytest.raises(_core.CoreError, match="makes no event"):
        named.session_name(data, 0)
    for line in (-1, len(data)):
        with pytest.raises(IndexError):
            named.session_name(data, line)


def test_a_line_of_two_values_is_two_events() -> None:
    miner = _core.Miner()
    miner.learn(b"moved blk_1 to blk_2\n")
    by_value = _core.Front("plain", _core.Matcher(miner.finish()), by="value", fields=[], prefix="blk_")
    events = by_value.read(b"moved blk_1 to blk_2\nmoved blk_2 to blk_2\nnone\n")
    assert events["first_of_line"].tolist() == [True, False, True, True]
    assert events["session"][1] == events["session"][2]


@pytest.mark.parametrize(
    "rule",
    [
        {"by": "colour"},
        {"by": "fields", "fields": []},
        {"by": "fields", "fields": ["colour"]},
        {"by": "value", "prefix": ""},
        {"by": "value", "prefix": "x" * 32},
        {"by": "value", "prefix": "x\0"},
        {"by": "time", "seconds": 0},
    ],
)
def test_a_wrong_session_rule_is_refused(matcher: _core.Matcher, rule: dict[str, object]) -> None:
    with pytest.raises(_core.CoreError):
        front(matcher, **rule)


def test_sessions_of_known_keys_are_read_whole(matcher: _core.Matcher) -> None:
    known = _core.Front("keys", matcher, by="all", fields=[])
    # More keys than the binding's room for events holds at first.
    many = b"a\t" + b"0 1 " * 50_000 + b"\nb\t1 99\n"
    events = known.read(many)
    assert len(events["key"]) == 100_002
    assert events["key"].tolist()[-2:] == [1, UNSEEN]
    assert known.session_name(b"a\t0\n", 0) == "a"


def test_threads_may_share_a_matcher_and_a_front(matcher: _core.Matcher) -> None:
    data = (LINE + b"\n") * 20_000
    messages = MESSAGES * 5_000
    shared = front(matcher)
    got: list[tuple[int, int]] = []

    def work() -> None:
        events = shared.read(data)
        got.append((int(events["key"].sum()), int(matcher.match(messages).sum())))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len(set(got)) == 1


@given(st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b" ")), min_size=1, max_size=30))
@settings(deadline=None, max_examples=60)
def test_whatever_was_learned_matches(lines: list[bytes]) -> None:
    miner = _core.Miner()
    data = b"\n".join(lines) + b"\n"
    assert miner.learn(data) == len(lines)
    keys = _core.Matcher(miner.finish()).match(data)
    assert len(keys) == len(lines)
    assert UNSEEN not in keys


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_read_to_the_end(matcher: _core.Matcher, data: bytes) -> None:
    events = front(matcher).read(data)
    assert events["lines"] == sum(bool(line.removesuffix(b"\r")) for line in data.split(b"\n"))
    assert len(_core.parse(data, "iso")["message"]) == len(data.split(b"\n")) - (data[-1:] in (b"\n", b""))
