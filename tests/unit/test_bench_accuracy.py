"""How alerts on raw logs are counted against labels."""

from pathlib import Path
from typing import Any

import pytest

from haechi.bench.accuracy import Alert, hdfs_complete_blocks, hdfs_first_20000, judge_auth, judge_bgl, run


def alert(offset: int, text: str = "", detector: str = "deeplog", session: str = "", **more: Any) -> Alert:
    return {
        "detector": detector,
        "session": session,
        "template": None,
        "lines": [{"source": "x.log", "offset": offset, "text": text}],
        **more,
    }


def test_bgl_counts_lines_windows_and_kinds() -> None:
    lines = [
        b"- 1000 normal\n",
        b"KERNA 1000 bad\n",
        b"- 1299 still in the second window\n",
        b"- 1800 quiet\n",
        b"KERNB 2400 bad and missed\n",
        b"- 3000 false alarm\n",
    ]
    offsets = [sum(map(len, lines[:i])) for i in range(len(lines))]
    figures = judge_bgl(lines, [alert(offsets[1]), alert(offsets[2]), alert(offsets[5])])
    assert figures["alerts_on_labelled_lines"] == 1
    assert figures["labelled_lines"] == 2
    assert (figures["windows"], figures["window_true_positive"]) == (5, 1)
    assert (figures["window_false_positive"], figures["window_false_negative"]) == (2, 1)
    assert (figures["kinds"], figures["kinds_reported"], figures["kinds_missed"]) == (2, 1, ["KERNB"])


def data(folder: Path, name: str, blocks: dict[str, str]) -> Path:
    """Each block three lines, one after the other; the last line of each names the next block, too."""
    raw = folder / "hdfs_raw"
    raw.mkdir()
    names = list(blocks)
    rows = []
    for i, block in enumerate(names):
        rows += [f"open {block}", f"write {block}", f"close {block} {names[(i + 1) % len(names)]}"]
    (raw / f"{name}.log").write_text("".join(row + "\n" for row in rows))
    labels = "".join(f"{block},{label},3,3\n" for block, label in blocks.items())
    (raw / f"{name}.labels.csv").write_text("BlockId,Label,LinesHere,LinesIn100k\n" + labels)
    return folder


def test_complete_blocks_learn_from_normal_blocks_only(tmp_path: Path) -> None:
    blocks = {"blk_1": "Normal", "blk_-2": "Normal", "blk_3": "Anomaly", "blk_4": "Normal", "blk_5": "Normal"}
    case = hdfs_complete_blocks(data(tmp_path, "complete_blocks", blocks))
    assert case.whole_sessions
    assert (
        b"".join(case.training) == b"open blk_1\nwrite blk_1\nclose blk_1 blk_-2\nopen blk_-2\nwrite blk_-2\n"
    )
    assert len(case.training) + len(case.searched) == 15
    alerts = [
        alert(0, session="blk_3"),
        alert(0, session="blk_4", detector="new_event"),
        alert(0, session="blk_1"),
        alert(0, session=""),
    ]
    figures = case.judge(alerts)
    assert (figures["blocks"], figures["blocks_anomalous"]) == (3, 1)
    assert (figures["deeplog_precision"], figures["deeplog_recall"]) == (1.0, 1.0)
    assert (figures["any_precision"], figures["any_recall"]) == (0.5, 1.0)


def test_first_20000_leaves_out_blocks_that_began_before(tmp_path: Path) -> None:
    blocks = {f"blk_{i}": "Anomaly" if i == 4 else "Normal" for i in range(6)}
    case = hdfs_first_20000(data(tmp_path, "first_20000", blocks))
    assert (len(case.training), len(case.searched)) == (9, 9)
    assert not case.whole_sessions
    figures = case.judge([alert(0, session="blk_3"), alert(0, session="blk_5")])
    assert (figures["blocks"], figures["deeplog_false_positive"], figures["deeplog_false_negative"]) == (
        2,
        1,
        1,
    )


def test_auth_names_what_is_alerted_on() -> None:
    rows = [
        alert(0, "Mar 27 ip sshd[12]: Invalid user a from 10.0.0.7"),
        alert(9, "Mar 28 ip sshd[345]: Invalid user a from 10.0.0.7"),
        alert(20, "Mar 28 ip sshd[9]: Bye 10.0.0.8", template="Bye <*>"),
    ]
    figures = judge_auth([b"x\n"] * 1000, rows)
    assert figures["alerts_per_1000_lines"] == 3.0
    assert figures["top_templates"] == [("Invalid user a from #.#.#.#", 2), ("Bye <*>", 1)]
    assert figures["top_addresses"] == [("10.0.0.7", 2), ("10.0.0.8", 1)]


def test_nothing_to_run_on_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HAECHI_DATA", raising=False)
    assert run(tmp_path, as_json=True) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "holds no folder bgl_100k" in " ".join(captured.err.split())
