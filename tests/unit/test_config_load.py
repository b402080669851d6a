"""What a user reads when a configuration is wrong: file, key, value, what is allowed, line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from haechi.config.load import ConfigError, load_yaml


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(Group):
    size: int = Field(default=10, ge=1, le=64)
    ratio: float = Field(default=0.5, gt=0, lt=1)


class Sample(Group):
    name: str = Field(default="a", min_length=1, max_length=3, pattern="^[a-z]*$")
    window: Window = Window()
    windows: tuple[Window, ...] = Field(default=(), max_length=2)
    by: Literal["time", "all"] = "time"
    idle: Literal["auto"] | int = "auto"
    flag: bool = False
    maybe: Window | None = None

    @model_validator(mode="after")
    def _fits(self) -> Sample:
        if self.by == "all" and self.flag:
            raise ValueError("by all has no flag")
        return self


class Needy(Group):
    needed: Path


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "sample.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


WRONG = [
    ("window:\n  size: 0\n", "window.size: 0 is not at least 1 (line 2)"),
    ("window: {size: 65}\n", "window.size: 65 is not at most 64 (line 1)"),
    ("window:\n  ratio: 0\n", "window.ratio: 0 is not above 0 (line 2)"),
    ("window:\n  ratio: 1.5\n", "window.ratio: 1.5 is not below 1 (line 2)"),
    ("window:\n  size: ten\n", "window.size: 'ten' is not a whole number (line 2)"),
    ("window:\n  size: 1.5\n", "window.size: 1.5 is not a whole number (line 2)"),
    ("window:\n  ratio: x\n", "window.ratio: 'x' is not a number (line 2)"),
    ("window: 3\n", "window: 3 is not a group of keys (line 1)"),
    ("windows: 3\n", "windows: 3 is not a list (line 1)"),
    ("windows:\n- size: 1\n- size: 0\n", "windows.1.size: 0 is not at least 1 (line 3)"),
    ("windows: [{}, {}, {}]\n", "windows: [{}, {}, {}] is longer than 2 (line 1)"),
    ("flag: perhaps\n", "flag: 'perhaps' is not true or false (line 1)"),
    ("name: ''\n", "name: '' is shorter than 1 (line 1)"),
    ("name: long\n", "name: 'long' is longer than 3 (line 1)"),
    ("name: A\n", "name: 'A' does not match ^[a-z]*$ (line 1)"),
    ("name: 7\n", "name: 7 is not text (line 1)"),
    ("name:\n", "name: nothing is not text (line 1)"),
    ("by: size\n", "by: 'size' is none of 'time' or 'all' (line 1)"),
    ("idle: soon\n", "idle: 'soon' is none of 'auto'; 'soon' is not a whole number (line 1)"),
    ("# first\nwindwo: {}\n", "windwo: is not a key here; did you mean window? (line 2)"),
    ("window:\n  sise: 3\n", "window.sise: is not a key here; did you mean size? (line 2)"),
    ("maybe: {sise: 3}\n", "maybe.sise: is not a key here; did you mean size? (line 1)"),
    ("windows: [{sise: 3}]\n", "windows.0.sise: is not a key here; did you mean size? (line 1)"),
    ("window:\n  zzz: 3\n", "window.zzz: is not a key here; known are size, ratio (line 2)"),
    ("by: all\nflag: true\n", "by all has no flag"),
    ("name: a\nname: b\n", "name: is there twice, in lines 1 and 2"),
    ("windows: [{size: 1, size: 2}]\n", "size: is there twice, in lines 1 and 1"),
    ("- a\n", "holds ['a'], not keys with values"),
    ("a: [\n", "is not YAML: "),
    ("a: b: c\n", "is not YAML: mapping values are not allowed here (line 1, column 5)"),
    ("!!python/object/apply:os.system ['true']\n", "is not YAML: could not determine a constructor"),
    (b"name: \xff\xfe\n", "is not UTF-8 text (byte 6)"),
    ("name: a\x07b\n", "is not YAML: "),
]


@pytest.mark.parametrize(("text", "complaint"), WRONG)
def test_a_wrong_file_is_refused_in_words(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load_yaml(path, Sample)
    assert str(refused.value).startswith(f"{path}: {complaint}")


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "by: x\nwindow:\n  size: 0\n")
    with pytest.raises(ConfigError) as refused:
        load_yaml(path, Sample)
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("text", ["", "# only a comment\n", "window:\n  size: 10\n", "maybe:\n"])
def test_what_is_left_out_has_its_default(tmp_path: Path, text: str) -> None:
    assert load_yaml(write(tmp_path, text), Sample) == Sample()


def test_no_file_and_no_option_is_the_default() -> None:
    assert load_yaml(None, Sample) == Sample()


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needed: is required"):
        load_yaml(write(tmp_path, ""), Needy)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [(lambda path: None, "No such file or directory"), (Path.mkdir, "Is a directory")],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, make: Any, complaint: str) -> None:
    path = tmp_path / "sample.yaml"
    make(path)
    with pytest.raises(ConfigError, match=complaint):
        load_yaml(path, Sample)


def test_options_win_key_by_key(tmp_path: Path) -> None:
    path = write(tmp_path, "name: b\nwindow:\n  size: 5\n  ratio: 0.25\n")
    got = load_yaml(path, Sample, {"window": {"size": 6}, "by": "all"})
    assert got == Sample(name="b", window=Window(size=6, ratio=0.25), by="all")


def test_a_wrong_option_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "by: all\nname: b\n")
    with pytest.raises(ConfigError) as refused:
        load_yaml(path, Sample, {"by": "x"})
    assert str(refused.value) == "command line: by: 'x' is none of 'time' or 'all'"


def test_an_anchor_within_itself_ends() -> None:
    # YAML can build a list that holds itself; walking it must end.
    with pytest.raises(ConfigError):
        load_yaml_text("windows: &a [*a]\n")


def load_yaml_text(text: str) -> Sample:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return load_yaml(file.name, Sample)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Sample().name = "b"
