"""The journal: bounded, numbered, and there again after a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from haechi.serve.journal import EARLIER, NAME, Journal


def test_entries_are_numbered_and_found(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for i in range(10):
        journal.add("operator" if i % 2 else "healing", f"storm-{i % 3}", "act", f"text {i}")
    assert journal.last == 10
    assert [entry.number for entry in journal.find(3)] == [10, 9, 8]
    assert [entry.number for entry in journal.find(2, before=8)] == [7, 6]
    assert [entry.number for entry in journal.find(9, kind="operator")] == [10, 8, 6, 4, 2]
    assert [entry.number for entry in journal.find(9, subject="storm-0", kind="healing")] == [7, 1]


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    for i in range(3):
        first.add("end", "sink-1", "done", f"text {i}", data={"i": i})
    second = Journal(tmp_path)
    second.load()
    assert [entry.view() for entry in second.find(9)] == [entry.view() for entry in first.find(9)]
    assert second.add("rule", "host", "cpu_high", "x").number == 4


def test_what_is_broken_in_the_file_is_counted_and_passed_over(tmp_path: Path) -> None:
    good = Journal(tmp_path).add("end", "a", "b", "c").view()
    lines = [b"{", b"[]", b"\xff", b'{"number": 1}', json.dumps({**good, "kind": "odd"}).encode()]
    (tmp_path / NAME).write_bytes(b"\n".join([*lines, json.dumps({**good, "number": 7}).encode(), b'{"cut']))
    journal = Journal(tmp_path)
    journal.load()
    assert (journal.unreadable, journal.last) == (6, 7)
    journal.add("end", "a", "b", "after the cut")
    again = Journal(tmp_path)
    again.load()
    assert again.find(1)[0].text == "after the cut"


@pytest.mark.parametrize("number", ["1e999", "0", "-1", str(1 << 60), "99999999999999999999999"])
def test_numbers_that_cannot_be_are_passed_over(tmp_path: Path, number: str) -> None:
    good = json.dumps(Journal(tmp_path).add("end", "a", "b", "c").view())
    (tmp_path / NAME).write_text(good.replace('"number": 1,', f'"number": {number},') + "\n" + good + "\n")
    journal = Journal(tmp_path)
    journal.load()
    assert (journal.unreadable, journal.last) == (1, 1)


def test_half_a_line_on_a_full_disk_costs_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    journal = Journal(folder)
    journal.add("end", "a", "b", "whole")
    folder.rename(tmp_path / "away")  # no write succeeds; what it would leave on a full disk:
    journal.add("end", "a", "b", "cut")
    (tmp_path / "away").rename(folder)
    with (folder / NAME).open("ab") as file:
        file.write(b'{"number": 2, "ti')
    journal.add("end", "a", "b", "after")
    again = Journal(folder)
    again.load()
    assert [entry.text for entry in again.find(9)] == ["after", "whole"]


def test_memory_and_file_are_bounded(tmp_path: Path) -> None:
    journal = Journal(tmp_path, kept=50, file_bytes=10_000)
    for i in range(500):
        journal.add("tuning", "storm-1", "burst_us", f"text {i}", data={"much": "x" * 100})
    assert len(journal.find(1000)) == 50
    assert (tmp_path / NAME).stat().st_size <= 10_000
    assert (tmp_path / EARLIER).stat().st_size <= 10_000
    again = Journal(tmp_path, kept=50)
    again.load()
    assert again.last == 500
    assert [entry.number for entry in again.find(50)] == list(range(500, 450, -1))


def test_texts_of_others_are_bounded(tmp_path: Path) -> None:
    entry = Journal(tmp_path).add("end", "a", "b", "x" * 5000, why="y" * 5000, data={"z": "z" * 50_000})
    assert (len(entry.text), len(entry.why)) == (1000, 1000)
    assert list(entry.data) == ["left_out"]


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path / "nowhere")
    journal.add("end", "a", "b", "c")
    journal.add("end", "a", "b", "c")
    assert (journal.last, journal.unwritten) == (2, 2)
    assert capfd.readouterr().err.count("the journal is not written") == 1
