"""Files of lines: half a line costs no other, and nobody else reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from haechi.serve.linefile import LineFile, read_lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.jsonl"


def test_what_is_added_is_read_again(path: Path) -> None:
    file = LineFile(path, "it is")
    assert file.read() == [] and file.written == 0
    file.add(b"one\ntwo\n")
    file.add(b"\nthree\n")
    assert LineFile(path, "it is").read() == read_lines(path) == [b"one", b"two", b"three"]
    assert file.written == path.stat().st_size == 15
    assert path.stat().st_mode & 0o777 == 0o600


def test_half_a_line_stays_alone(path: Path) -> None:
    path.write_bytes(b"whole\nhal")
    file = LineFile(path, "it is")
    assert file.read() == [b"whole", b"hal"]
    file.add(b"next\n")
    file.add(b"last\n")
    assert read_lines(path) == [b"whole", b"hal", b"next", b"last"]


def test_a_failure_is_said_once_and_leaves_the_file(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = LineFile(path, "it is")
    file.add(b"one\n")
    tmp_path.rename(tmp_path.with_name("away"))
    file.add(b"lost\n")
    file.replace(b"lost\n")
    file.turn_over(tmp_path / "earlier.jsonl")
    tmp_path.with_name("away").rename(tmp_path)
    assert (file.failures, file.written) == (2, 4)
    assert capsys.readouterr().err.count("haechi: it is not written: ") == 1
    file.add(b"two\n")
    assert read_lines(path) == [b"one", b"two"]


def test_it_is_replaced_or_turned_over(path: Path, tmp_path: Path) -> None:
    file = LineFile(path, "it is")
    file.add(b"one\ntwo\n")
    file.replace(b"three\n")
    assert (read_lines(path), file.written) == ([b"three"], 6)
    file.turn_over(tmp_path / "earlier.jsonl")
    file.add(b"four\n")
    assert read_lines(tmp_path / "earlier.jsonl") == [b"three"]
    assert (read_lines(path), file.written) == ([b"four"], 5)
