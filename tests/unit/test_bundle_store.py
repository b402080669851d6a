"""Bundles on disk: whole or not at all, and refused when touched."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from haechi.bundle.difference import diff
from haechi.bundle.manifest import Corpus, DeepLog, Manifest, NewEvent, Parser, SessionRule
from haechi.bundle.store import Bundle, BundleError, entry_of, read, verify, write

MODEL = b"not really a model"


def templates(*texts: str) -> bytes:
    return json.dumps({"format": 1, "templates": [{"text": text} for text in texts]}).encode()


def manifest(texts: bytes, keys: int, event_surprise: float = 9.5, sessions: int = 900) -> Manifest:
    return Manifest(
        created="2026-11-22T10:00:00Z",
        haechi="0.1.0",
        parent=None,
        files={"templates.json": entry_of(texts), "deeplog.onnx": entry_of(MODEL)},
        corpus=Corpus(
            sources=("app.log",), lines=1000, malformed=0, sessions=sessions, time_from=None, time_to=None
        ),
        parser=Parser(format="iso"),
        log_keys=keys,
        session=SessionRule(by="fields", fields=("host", "pid"), idle_s=300, max_open=1000),
        window=10,
        detectors=(
            NewEvent(trained_keys=tuple(range(keys)), repeat_s=3600),
            DeepLog(
                begin=keys,
                end=keys + 1,
                unseen=keys + 2,
                rule="likelihood",
                top_k=9,
                unseen_surprise=20.0,
                event_surprise=event_surprise,
                session_surprise=1.25,
                least_surprise=3.0,
                validation={"sessions": sessions},
            ),
        ),
    )


def made(folder: Path, *texts: str, event_surprise: float = 9.5) -> Bundle:
    text = templates(*texts)
    return write(
        folder,
        manifest(text, len(texts), event_surprise),
        {"templates.json": text, "deeplog.onnx": MODEL},
    )


def test_written_is_read_back(tmp_path: Path) -> None:
    bundle = made(tmp_path / "bundles", "a <*>", "b")
    assert bundle.path.name == bundle.digest
    for path in (bundle.path, tmp_path / "bundles", tmp_path / "bundles" / "latest"):
        again = read(path)
        assert (again.digest, again.path, again.manifest) == (bundle.digest, bundle.path, bundle.manifest)
    assert again.templates == ["a <*>", "b"]
    assert again.file("deeplog.onnx") == MODEL
    assert again.manifest.deeplog.event_surprise == 9.5
    assert again.manifest.new_event.trained_keys == (0, 1)
    assert sorted(p.name for p in (tmp_path / "bundles").iterdir()) == sorted([bundle.digest, "latest"])


def test_writing_twice_is_writing_once_and_latest_moves(tmp_path: Path) -> None:
    one = made(tmp_path, "a")
    two = made(tmp_path, "a", "b")
    assert read(tmp_path).digest == two.digest
    assert made(tmp_path, "a").path == one.path
    assert read(tmp_path).digest == one.digest


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def shrink(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", ["manifest.json", "templates.json", "deeplog.onnx"])
@pytest.mark.parametrize("harm", [flip, grow, shrink, Path.unlink, replace_by_folder])
def test_a_touched_file_is_named(tmp_path: Path, name: str, harm: Callable[[Path], None]) -> None:
    bundle = made(tmp_path, "a", "b")
    harm(bundle.path / name)
    with pytest.raises(BundleError, match=name):
        verify(bundle.path)


def edited(bundle: Bundle, target: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """A copy under a name that is no digest, so that only the edit can be what is refused."""
    target.mkdir()
    content = json.loads((bundle.path / "manifest.json").read_text())
    change(content)
    (target / "manifest.json").write_text(json.dumps(content))
    for name in bundle.manifest.files:
        (target / name).write_bytes((bundle.path / name).read_bytes())
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=2), "format"),
        (lambda m: m.update(log_keys=1), "log_keys"),
        (lambda m: m.update(window=0), "window"),
        (lambda m: m.pop("session"), "session"),
        (lambda m: m["detectors"][1].update(begin=0), "begin"),
        (lambda m: m["detectors"][1].update(file="other.onnx"), r"other\.onnx"),
        (lambda m: m["detectors"][1].update(rule="magic"), "rule"),
        (lambda m: m["files"].update({"../../etc/passwd": m["files"]["deeplog.onnx"]}), "plain file name"),
        (lambda m: m["files"].pop("templates.json"), r"templates\.json"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    tmp_path: Path, change: Callable[[dict[str, object]], None], message: str
) -> None:
    bundle = made(tmp_path / "good", "a", "b")
    with pytest.raises(BundleError, match=message):
        read(edited(bundle, tmp_path / "bad", change))
    assert read(edited(bundle, tmp_path / "same", lambda m: None)).manifest == bundle.manifest


def test_what_is_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    bundle = made(tmp_path / "first", "a")
    taken = tmp_path / "second" / bundle.digest
    taken.mkdir(parents=True)
    (taken / "letter.txt").write_text("dear")
    with pytest.raises(BundleError, match="exists already and is not this bundle"):
        made(tmp_path / "second", "a")
    assert (taken / "letter.txt").read_text() == "dear"
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "latest").write_text("mine")
    with pytest.raises(BundleError, match="in the way"):
        made(tmp_path / "third", "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot write the bundle"):
        made(tmp_path / "file", "a")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match="No space left"):
        made(tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_must_describe_the_files(tmp_path: Path) -> None:
    text = templates("a")
    with pytest.raises(BundleError, match="does not describe"):
        write(tmp_path, manifest(text, 1), {"templates.json": text, "deeplog.onnx": MODEL + b"!"})
    assert list(tmp_path.iterdir()) == []


def test_diff(tmp_path: Path) -> None:
    old, new = made(tmp_path, "a", "b", "b"), made(tmp_path, "a", "b", "c", "d", event_surprise=8.0)
    change = diff(old, new)
    assert change.templates_added == ("c", "d")
    assert change.templates_removed == ("b",)
    assert change.changed["deeplog.event_surprise"] == (9.5, 8.0)
    assert change.changed["log_keys"] == (3, 4)
    assert change.changed["new_event.trained_keys"] == (3, 4)
    assert "window" not in change.changed
    assert change
    assert not diff(old, old)
    assert json.dumps(change.as_dict())
