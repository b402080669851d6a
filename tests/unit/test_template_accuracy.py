"""The measure of `haechi bench parsing`, and the miner on a small log with known groups."""

import csv
import json
import os
from pathlib import Path

import pytest

from haechi.bench import parsing

NAMES = ["anna", "boris", "chloe", "dieter", "elena", "farid", "gwen", "hugo"]


@pytest.mark.parametrize(
    ("groups", "labels", "want"),
    [
        ([], [], 0.0),
        ([0, 0, 1], ["a", "a", "b"], 1.0),
        ([0, 0, 0], ["a", "a", "b"], 0.0),  # merged: every line of the group is wrong
        ([0, 1, 2], ["a", "a", "b"], 1 / 3),  # split: only the lone line is right
        ([7, 7, 8, 9], ["b", "b", "a", "a"], 0.5),
    ],
)
def test_grouping_accuracy(groups: list[int], labels: list[str], want: float) -> None:
    assert parsing.grouping_accuracy(groups, labels) == pytest.approx(want)


def write_system(root: Path, corrected: bool = True) -> None:
    folder = root / "loghub_2k" / "Demo"
    folder.mkdir(parents=True)
    rows = [(f"door {n} opened by {name}", "E1") for n, name in enumerate(NAMES)]
    rows += [(f"disk sd{n} is full, {n * 10} % used", "E2") for n in range(8)]
    for suffix in ["", "_corrected"] if corrected else [""]:
        with (folder / f"Demo_2k.log_structured{suffix}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["LineId", "Content", "EventId"])
            writer.writerows((i + 1, content, label) for i, (content, label) in enumerate(rows))


def test_run_prints_plain_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_system(tmp_path)
    assert parsing.run(tmp_path, as_json=True) == 0
    numbers = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert numbers["mean_ga"] == numbers["mean_ga_corrected"] == numbers["ga_demo"] == 1.0
    assert numbers["systems"] == 1


def test_run_without_corrected_labels(tmp_path: Path) -> None:
    write_system(tmp_path, corrected=False)
    assert parsing.run(tmp_path, as_json=False) == 0


def test_run_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parsing.run(tmp_path, as_json=False) == 1
    assert "loghub_2k" in capsys.readouterr().err.replace("\n", "")
    folder = tmp_path / "loghub_2k" / "Bad"
    folder.mkdir(parents=True)
    (folder / "Bad_2k.log_structured.csv").write_text("a,b\n1,2\n")
    assert parsing.run(tmp_path, as_json=False) == 1
    assert "no column" in capsys.readouterr().err


@pytest.mark.skipif(not os.environ.get("HAECHI_DATA"), reason="HAECHI_DATA is not set")
def test_grouping_accuracy_on_real_logs() -> None:
    folder = Path(os.environ["HAECHI_DATA"]) / "loghub_2k"
    rows = [parsing.measure(system) for system in parsing.systems_in(folder)]
    assert sum(row.ga for row in rows) / len(rows) >= 0.93
