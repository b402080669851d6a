"""What a computer throws at an engine: wrong files, hostile bytes, full disks, readers that go away."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from haechi.native._core import format_presets
from haechi.native.tools import Process, onnxruntime_library, tool_path
from tests.integration.engine_room import (
    ORDER,
    WINDOW,
    about,
    judge,
    log_line,
    log_lines,
    make_bundle,
    need_engine,
    read_alerts,
    settings,
    table_model,
)

# --- inputs -------------------------------------------------------------------------------------------


def test_wrong_paths(engine_bundle: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.log"
    empty.touch()
    cases = [
        (tmp_path / "nowhere.log", 1, "nowhere.log"),
        (tmp_path, 2, "is a directory"),
        (tmp_path / "*.nothing", 1, "no file matches"),
        (empty / "below.log", 1, "below.log"),
    ]
    for path, status, said in cases:
        ran = judge(engine_bundle, tmp_path / "out", [path])
        assert (ran.status, said in ran.stderr) == (status, True), ran.stderr
    ran = judge(engine_bundle, tmp_path / "out", [empty])
    assert (ran.status, ran.alerts, ran.totals["lines"]) == (0, [], 0)
    if os.geteuid() == 0:
        pytest.skip("root may read every file: that an unreadable one is refused was not tried")
    empty.chmod(0)
    ran = judge(engine_bundle, tmp_path / "out", [empty])
    assert ran.status == 1 and "Permission denied" in ran.stderr


def test_wrong_places_to_write(engine_bundle: Path, engine_log: Path, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "no" / "such" / "folder" / "file")
    for name in ("alerts", "stats_page", "control_socket"):
        change: dict[str, Any] = {name: nowhere}
        ran = judge(engine_bundle, tmp_path, [engine_log], **change)
        assert ran.status == 1, name
        assert name in ran.stderr.replace(" ", "_") or nowhere in ran.stderr
        assert len(ran.stderr.splitlines()) == 1
    ran = judge(engine_bundle, tmp_path, [engine_log], alerts=str(tmp_path))
    assert ran.status == 1 and "alerts" in ran.stderr


def test_wrong_settings(engine_bundle: Path, engine_log: Path, tmp_path: Path) -> None:
    for change in (
        {"workers": 0},
        {"workers": 65},
        {"batch_bytes": 4095},
        {"memo_entries": 3},
        {"novelty": {"max_shapes": 0}},
        {"pin": [60000]},
        {"checkpoint": {"interval_s": 0}},
        {"workers": "two"},
        {"workers": 1.5},
        {"nonsense": 1},
        {"format": "<nonsense"},
        {"onnxruntime": str(engine_log)},
    ):
        ran = judge(engine_bundle, tmp_path, [engine_log], **change)
        assert ran.status in (1, 2), change
        assert len(ran.stderr.splitlines()) == 1, ran.stderr
        assert not ran.alerts


def test_hostile_bytes(engine_bundle: Path, tmp_path: Path) -> None:
    """Whatever the bytes, every line is counted and every alert is JSON in UTF-8."""
    good = log_line(1, 1, "open request 1").encode()
    odd = [
        b"\x00" * 100,
        bytes(range(256)).replace(b"\n", b""),
        b"\xff\xfe" * 500,
        b"{" * 1000,
        log_line(2, 2, 'quote " backslash \\ and control \x01\x1f\x7f').encode()[:-1],
        log_line(3, 3, "not utf-8 ").encode()[:-1] + b"\xc3\x28 \xed\xa0\x80 \xf8",
        log_line(4, 4, "nul ").encode()[:-1] + b"\x00 in the middle",
        "2026-01-05T00:00:05Z h\xe9te \u202e[1]: open request 5".encode(),
        b"\xef\xbb\xbf" + log_line(6, 6, "open request 1").encode()[:-1],
        b"2026-13-45T99:99:99Z web1 app[1]: open request 1",
        b"0000-01-01T00:00:00Z web1 app[9]: strange old thing",
        b"2026-01-05T00:00:00Z " + b"h" * 5000 + b" app[1]: open request 1",
        log_line(7, 7, "open request 1").encode()[:-1] + b"\r",
    ]
    log = tmp_path / "hostile.log"
    log.write_bytes(good + b"\n".join(odd) + b"\n\n\r\n" + good[:-1])
    changes: list[dict[str, Any]] = [{}, {"workers": 3}, {"batch_bytes": 4096}]
    for change in changes:
        ran = judge(engine_bundle, tmp_path / "out", [log], **change)
        (tmp_path / "out" / "alerts.jsonl").unlink()
        assert ran.status == 0, ran.stderr
        assert ran.alerts
        t = ran.totals
        cut = t["truncated_lines"]  # a line beyond batch_bytes: its head is a line
        assert cut == (1 if change.get("batch_bytes") else 0)
        assert (t["lines"], t["empty_lines"]) == (len(odd) + 2, 2)
        assert t["events"] == t["lines"] - t["malformed_lines"]


SECONDS = (
    "0",
    "-1",
    "-9223372036855",
    "9223372036855",
    "9223372036854775807",
    "-9223372036854775808",
    "1e300",
)


def test_any_form_any_bytes(engine_bundle: Path, tmp_path: Path) -> None:
    """Random bytes, and times at the ends of what a number can hold, in every form there is."""
    draw = random.Random(5)
    lines = [
        line
        for second in SECONDS
        for line in (
            f"{second} 7 open request 1",
            f"type={second} msg=audit({second}.5:1): open request 2",
            f'{{"time": {second}, "pid": 3, "message": "open request 3"}}',
            "0000-01-01T00:00:00+14:00 h app[1]: open request 1",
            "9999-12-31T23:59:59-14:00 h app[2]: open request 1",
        )
    ] * 3
    draw.shuffle(lines)
    log = tmp_path / "noise"
    log.write_bytes("\n".join(lines).encode() + draw.randbytes(100_000))
    for n, form in enumerate((*format_presets(), "{time:%s} {pid} {message}", "keys")):
        ran = judge(engine_bundle, tmp_path / form[:8], [log], format=form, workers=1 + n % 3, timeout_s=30)
        assert ran.status == 0, f"{form}: {ran.stderr}"
        t = ran.totals
        assert t["bytes"] == log.stat().st_size
        assert t["windows"] + t["unseen_events"] == t["events"] + t["sessions_ended"]
        opened = t["sessions_ended"] + t["sessions_evicted"] + t["sessions_cut"] + t["sessions_open"]
        assert t["sessions_opened"] == opened


def test_windows_line_ends(engine_bundle: Path, engine_log: Path, tmp_path: Path) -> None:
    log = tmp_path / "crlf.log"
    log.write_bytes(engine_log.read_bytes().replace(b"\n", b"\r\n"))
    got = judge(engine_bundle, tmp_path / "crlf", [log])
    want = judge(engine_bundle, tmp_path / "lf", [engine_log])
    assert got.about == want.about
    assert not any((alert["lines"][0]["text"] or "").endswith("\r") for alert in got.alerts)


def test_long_lines(engine_bundle: Path, tmp_path: Path) -> None:
    """A line of a megabyte, newline included, is judged whole; of a longer one the head is, and counted."""
    whole = log_line(1, 1, "")[:-1] + "strange "
    whole += "x" * ((1 << 20) - len(whole) - 1) + "\n"
    over = log_line(2, 2, "")[:-1] + "strange " + "y" * (3 << 20) + "\n"
    after = log_line(3, 3, "open request 7")
    log = tmp_path / "long.log"
    log.write_text(whole + over + after)
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        ran = judge(engine_bundle, folder, [log], workers=workers)
        assert ran.status == 0, ran.stderr
        assert ran.totals["truncated_lines"] == 1
        assert ran.totals["lines"] == ran.totals["events"] == 3
        assert {alert["lines"][0].get("length") for alert in ran.alerts} == {len(whole) - 1, 1 << 20}
        assert (folder / "alerts.jsonl").stat().st_size < 200_000
        piped = judge(engine_bundle, folder / "piped", ["-"], stdin=log.read_bytes(), workers=workers)
        assert piped.about == ran.about


def test_damaged_bundles(engine_log: Path, tmp_path: Path) -> None:
    need_engine()
    for name in ("templates.json", "deeplog.onnx"):
        bundle = make_bundle(tmp_path / name).path
        good = (bundle / name).read_bytes()
        for place in (0, len(good) // 3, len(good) - 1):
            (bundle / name).write_bytes(good[:place] + bytes([good[place] ^ 16]) + good[place + 1 :])
            ran = judge(bundle, tmp_path, [engine_log])
            assert ran.status == 1 and name in ran.stderr and "sha256" in ran.stderr
    manifest = json.loads((bundle / "manifest.json").read_text())
    for broken, said in (
        ("{", "manifest.json"),
        (json.dumps({**manifest, "format": 2}), "format 2"),
        (json.dumps({**manifest, "window": 0}), "window"),
        (json.dumps({**manifest, "detectors": []}), "new_event"),
        (json.dumps({**manifest, "files": {}}), "templates.json"),
    ):
        (bundle / "manifest.json").write_text(broken)
        ran = judge(bundle, tmp_path, [engine_log])
        assert ran.status == 1 and said in ran.stderr, ran.stderr


def broken(size: int, values: float) -> bytes:
    """A model of `size` classes that answers the same value for each."""
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["window", "newest"], ["last"], axis=1),
            helper.make_node("Gather", ["table", "last"], ["log_probability"], axis=0),
        ],
        "broken",
        [helper.make_tensor_value_info("window", TensorProto.INT64, ["batch", WINDOW])],
        [helper.make_tensor_value_info("log_probability", TensorProto.FLOAT, ["batch", size])],
        [
            numpy_helper.from_array(np.array(WINDOW - 1, dtype=np.int64), "newest"),
            numpy_helper.from_array(np.full((size, size), values, dtype=np.float32), "table"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda keys, n: b"", "does not load"),
        (lambda keys, n: b"not a model" * 100, "does not load"),
        (lambda keys, n: table_model(keys, n)[:-200], "does not load"),
        (lambda keys, n: table_model(keys, n + 1), "does not run"),
        (lambda keys, n: broken(n + 3, 0.0), "no distribution"),
        (lambda keys, n: broken(n + 3, float("nan")), "no distribution"),
        (lambda keys, n: broken(n + 3, float("-inf")), "no distribution"),
    ],
    ids=["empty", "junk", "cut", "other size", "zeros", "nan", "nothing is possible"],
)
def test_models_that_are_none(model: Any, said: str, engine_log: Path, tmp_path: Path) -> None:
    need_engine()
    bundle = make_bundle(tmp_path / "bundles", model=model).path
    ran = judge(bundle, tmp_path, [engine_log])
    assert ran.status == 1
    assert said in ran.stderr
    assert ran.alerts == []


def test_impossible_events(engine_log: Path, tmp_path: Path) -> None:
    """A probability of nought is a surprise like that of an unseen key, not a number that breaks the sum."""
    need_engine()
    certain = make_bundle(
        tmp_path / "bundles", model=lambda keys, n: table_model(keys, n, sure=1.0, rest=0.0)
    ).path
    ran = judge(certain, tmp_path / "certain", [engine_log])
    usual = judge(make_bundle(tmp_path / "bundles").path, tmp_path / "usual", [engine_log])
    assert ran.status == 0, ran.stderr
    assert {alert["session"] for alert in usual.alerts} <= {alert["session"] for alert in ran.alerts}


# --- outputs ------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def wait_until(true: Any, engine: Process, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, engine.stderr_text()
        time.sleep(0.01)


@pytest.mark.parametrize(("workers", "ruled"), [(1, False), (3, False), (3, True)])
def test_disk_full_of_alerts(
    workers: int, ruled: bool, engine_bundle: Path, engine_log: Path, small_disk: Path, tmp_path: Path
) -> None:
    """It waits, says so, and goes on when there is room: nothing is lost and no line is broken."""
    alerts = small_disk / "alerts.jsonl"
    more: dict[str, Any] = {}
    if ruled:
        condition = {"field": "message", "op": "contains", "value": "open"}
        rules = {"format": 1, "rules": [{"id": "often", "action": "deny", "condition": condition}]}
        (tmp_path / "rules.json").write_text(json.dumps(rules))
        more["rules"] = str(tmp_path / "rules.json")
    config = settings(engine_bundle, tmp_path, [engine_log], workers=workers, **more)
    with Process.start("haechi-detect", {**config, "alerts": str(alerts)}) as engine:
        wait_until(lambda: "waiting" in engine.stderr_text(), engine)
        time.sleep(0.3)
        assert engine.running
        subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
        assert engine.wait(20) == 0, engine.stderr_text()
    want = judge(engine_bundle, tmp_path / "want", [engine_log], **more)
    assert ruled == any(alert["rule"] == "often" for alert in want.alerts)
    got = read_alerts(alerts)
    assert sorted(alert["id"] for alert in got) == sorted(want.ids)


def test_stopped_while_the_disk_is_full(
    engine_bundle: Path, engine_log: Path, small_disk: Path, tmp_path: Path
) -> None:
    """It gives up with status 1; the next run writes what is missing, and the broken line is made whole."""
    alerts = small_disk / "alerts.jsonl"
    more: dict[str, Any] = {
        "alerts": str(alerts),
        "checkpoint": {"path": str(tmp_path / "checkpoint"), "interval_s": 0.05},
    }
    config = {**settings(engine_bundle, tmp_path, [engine_log]), **more}
    with Process.start("haechi-detect", config) as engine:
        wait_until(lambda: "waiting" in engine.stderr_text(), engine)
        assert engine.stop() == 1
        assert "alerts" in engine.stderr_text()
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    ran = judge(engine_bundle, tmp_path / "again", [engine_log], **more)
    assert ran.status == 0, ran.stderr
    want = judge(engine_bundle, tmp_path / "want", [engine_log])
    assert sorted(ran.ids) == sorted(want.ids)


def test_no_room_at_all(engine_bundle: Path, engine_log: Path, tmp_path: Path) -> None:
    config = settings(engine_bundle, tmp_path, [engine_log])
    with Process.start("haechi-detect", {**config, "alerts": "/dev/full"}) as engine:
        wait_until(lambda: "No space left" in engine.stderr_text(), engine)
        assert engine.running
        assert engine.stop() == 1


def test_no_room_for_checkpoints(
    engine_bundle: Path, engine_log: Path, small_disk: Path, tmp_path: Path
) -> None:
    """Judging goes on; the failure is said once and counted; the checkpoint that was there stays whole."""
    checkpoint = small_disk / "checkpoint"
    more: dict[str, Any] = {"checkpoint": {"path": str(checkpoint), "interval_s": 0.05}}
    head = tmp_path / "head.log"
    head.write_text("".join(log_lines(10, seed=1)))
    assert judge(engine_bundle, tmp_path / "first", [head], **more).status == 0
    before = checkpoint.read_bytes()
    (small_disk / "filler").write_bytes(b"x" * (64 * 1024 - len(before) - 8192))
    log = tmp_path / "app.log"
    log.write_text("".join(log_line(n * 0.001, n, "open request 1") for n in range(2000)))
    config = {
        **settings(engine_bundle, tmp_path, [log], follow=True, stats_page=str(tmp_path / "stats")),
        **more,
    }
    with Process.start("haechi-detect", config) as engine, engine.stats() as page:
        wait_until(lambda: page.value("checkpoint_errors") >= 3, engine)
        assert page.value("lines") == 2000
        assert checkpoint.read_bytes() == before
        assert engine.stderr_text().count("No space left") == 1
        (small_disk / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
        wait_until(lambda: page.value("checkpoints") >= 1, engine)
        assert engine.stop() == 0
    assert checkpoint.read_bytes() != before


def test_a_damaged_checkpoint_is_refused(engine_bundle: Path, engine_log: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    more: dict[str, Any] = {"checkpoint": {"path": str(checkpoint)}}
    assert judge(engine_bundle, tmp_path / "first", [engine_log], **more).status == 0
    good = checkpoint.read_bytes()
    for bad in (b"", good[:50], good[:-1], good[:100] + b"?" + good[101:], b"HXCKPT99" + good[8:]):
        checkpoint.write_bytes(bad)
        ran = judge(engine_bundle, tmp_path / "second", [engine_log], **more)
        assert ran.status == 1 and str(checkpoint) in ran.stderr
        assert checkpoint.read_bytes() == bad


def start_raw(config: dict[str, Any], folder: Path, **streams: Any) -> subprocess.Popen[bytes]:
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return subprocess.Popen([tool_path("haechi-detect"), "--config", path], **streams)


def test_nobody_reads_standard_output(engine_bundle: Path, engine_log: Path, tmp_path: Path) -> None:
    """One sentence and status 1, not a silent death by SIGPIPE."""
    config = {**settings(engine_bundle, tmp_path, [engine_log]), "alerts": "-"}
    process = start_raw(config, tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.close()
    try:
        assert process.wait(20) == 1
        assert b"alerts" in process.stderr.read()
    finally:
        process.kill()
        process.stderr.close()


def test_a_slow_reader_gets_everything(engine_bundle: Path, engine_log: Path, tmp_path: Path) -> None:
    """The pipe is full most of the time: the engine waits for its reader."""
    config = {**settings(engine_bundle, tmp_path, [engine_log]), "alerts": "-"}
    process = start_raw(config, tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    text = b""
    try:
        while more := os.read(process.stdout.fileno(), 16384):
            text += more
            time.sleep(0.005)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()
    want = judge(engine_bundle, tmp_path / "want", [engine_log])
    assert {about(json.loads(line)) for line in text.splitlines()} == want.about


def test_ends_at_a_signal_while_starting(engine_bundle: Path, tmp_path: Path) -> None:
    """Whenever it comes after the first moments: status 0, or the signal's own before there is anything."""
    config = settings(engine_bundle, tmp_path, ["-"])
    for wait_ms in range(0, 60, 4):
        process = start_raw(config, tmp_path, stdin=subprocess.PIPE)
        try:
            time.sleep(wait_ms / 1000)
            process.terminate()
            assert process.wait(10) in (0, -signal.SIGTERM)
        finally:
            process.kill()
            assert process.stdin
            process.stdin.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 3])
def test_ends_at_a_signal(number: int, workers: int, engine_bundle: Path, tmp_path: Path) -> None:
    """Also while standard input is open and silent."""
    config = {**settings(engine_bundle, tmp_path, ["-"], workers=workers, stats_page=str(tmp_path / "stats"))}
    with Process.start("haechi-detect", config, stdin=subprocess.PIPE) as engine:
        begun = time.monotonic()
        os.kill(engine.pid, number)
        assert engine.wait(10) == 0, engine.stderr_text()
        assert time.monotonic() - begun < 3
        stdin = engine._process.stdin
        assert stdin
        stdin.close()


def test_closing_at_the_end(engine_bundle: Path, tmp_path: Path) -> None:
    """close_at_end: sessions end with the input, and an end where none should be is reported."""
    log = tmp_path / "app.log"
    log.write_text("".join(log_line(n, 1, text.format(n=1, m=1)) for n, text in enumerate(ORDER[:2])))
    cut = judge(engine_bundle, tmp_path / "cut", [log])
    assert (cut.alerts, cut.totals["sessions_cut"]) == ([], 1)
    ended = judge(engine_bundle, tmp_path / "ended", [log], close_at_end=True)
    assert [alert["rule"] for alert in ended.alerts] == ["event_likelihood"]
    assert ended.totals["sessions_ended"] == 1


def test_library_that_is_not_there(engine_bundle: Path, engine_log: Path, tmp_path: Path) -> None:
    ran = judge(engine_bundle, tmp_path, [engine_log], onnxruntime=str(tmp_path / "lib.so"))
    assert ran.status == 1 and "ONNX Runtime" in ran.stderr
    assert onnxruntime_library().exists()
