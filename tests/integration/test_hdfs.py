"""`haechi bench hdfs` end to end: the reference scorer and the engine on sessions of known keys."""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

from haechi.bench.hdfs import DataError, data_folder, read_sessions, read_test, run
from haechi.config.training import TrainingConfig
from haechi.native.tools import ToolError, tool_path

QUICK = TrainingConfig.model_validate(
    {
        "model": {"embedding": 8, "hidden": 16},
        "fit": {"min_steps": 400, "max_steps": 400},
        "threshold": {"folds": 2, "budget": 0.02},
    }
)
FIGURES = {"f1", "f1_seeds", "precision", "recall", "topk_f1", "train_s", "windows_total", "windows_distinct"}


def engine_is_built() -> bool:
    try:
        tool_path("haechi-detect")
    except ToolError:
        return False
    return True


def normal_session(draw: random.Random) -> tuple[int, ...]:
    """Open, some writes in either order, close; keys from 1."""
    writes = [w for _ in range(draw.randint(1, 4)) for w in draw.choice([(5, 11), (11, 5)])]
    return (22, *writes, 9, 26)


def broken_session(draw: random.Random) -> tuple[int, ...]:
    session = list(normal_session(draw))
    kind = draw.randrange(3)
    if kind == 0:
        del session[-draw.randint(1, 2) :]
    elif kind == 1:
        session.insert(draw.randrange(len(session)), 7)
    else:
        session.reverse()
    return tuple(session)


def written(folder: Path) -> Path:
    """A small data folder of the same form."""
    draw = random.Random(6)
    (folder / "hdfs_sessions").mkdir()
    for name, make, number in [
        ("train", normal_session, 800),
        ("test_normal", normal_session, 400),
        ("test_abnormal", broken_session, 100),
    ]:
        count: dict[tuple[int, ...], int] = {}
        for _ in range(number):
            session = make(draw)
            count[session] = count.get(session, 0) + 1
        text = "".join(f"{n}\t{' '.join(map(str, session))}\n" for session, n in count.items())
        (folder / "hdfs_sessions" / f"{name}.tsv").write_text(text)
    return folder


def test_figures_and_parity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(written(tmp_path), as_json=True, seeds=2, config=QUICK) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures.keys() >= FIGURES
    assert len(figures["f1_seeds"]) == 2
    assert figures["f1"] == np.median(figures["f1_seeds"]) > 0.8
    assert figures["windows_distinct"] < figures["windows_total"]
    assert ("parity" in figures) == engine_is_built()
    assert figures.get("parity", 1) == 1


def test_missing_data_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAECHI_DATA", raising=False)
    assert run(None, as_json=False) == 1
    assert "set HAECHI_DATA to the folder that holds hdfs_sessions" in " ".join(
        capsys.readouterr().err.split()
    )
    assert run(tmp_path, as_json=False) == 1
    with pytest.raises(DataError, match="holds no folder"):
        data_folder(tmp_path, "hdfs_sessions")


@pytest.mark.parametrize("text", ["3\t\n", "x\t1 2\n", "3\t0 1\n", "3\t1 2 29\n", "3 1 2\n"])
def test_a_line_that_is_no_session_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("1\t1 2 3\n" + text)
    with pytest.raises(DataError, match=r"train\.tsv"):
        read_sessions(path)


@pytest.mark.skipif(
    "HAECHI_DATA" not in os.environ, reason="HAECHI_DATA is not set: no HDFS sessions to check"
)
def test_the_real_data_is_what_the_figures_are_about() -> None:
    folder = data_folder(None, "hdfs_sessions")
    training, test = read_sessions(folder / "train.tsv"), read_test(folder)
    assert training.total == 4855
    assert len(np.unique(training.keys)) == 14
    assert test.sessions.count[test.anomalous].sum() == 16838
    assert test.sessions.count[~test.anomalous].sum() == 553366
