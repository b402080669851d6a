"""The template explorer over HTTP, of a real detector that follows a file with hostile lines in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from haechi.bundle import store
from tests.conftest import Made
from tests.integration.serve_room import Serving, serving, until

HEAD = b"2025-08-30T12:00:00Z h p[1]: "
HOSTILE = [
    b"<script>alert(1)</script> \x1b[31m\x00\x01\x7f \xff\xfe",
    b'"}, {"log_key": 0} \\u0000 \\',
    b"x" * 250 + "안녕하세요".encode() * 200,
]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("templates")
    with serving(folder, read=[str(made.bundles), str(folder)], requests_per_second=1000) as running:
        yield running


def begin(plane: Serving, made: Made, log: Path, **settings: Any) -> str:
    wish = {"bundle": str(made.bundle), "sources": [str(log)], "follow": True, **settings}
    return f"/detectors/{plane.post('/detectors', wish)['id']}"


def has_read(plane: Serving, path: str, lines: int) -> Any:
    return until(lambda: (page := plane.get(f"{path}/templates"))["lines"] == lines and page)


def test_counts_examples_and_hostile_lines(plane: Serving, made: Made) -> None:
    log = plane.folder / "app.log"
    whole = made.log.read_bytes()
    log.write_bytes(whole + b"".join(HEAD + line + b"\n" for line in HOSTILE))
    lines = whole.count(b"\n") + len(HOSTILE)
    path = begin(plane, made, log, workers=2)
    page = has_read(plane, path, lines)
    assert page["bundle"] == made.bundle.name
    texts = store.read(made.bundle).templates
    assert page["total"] == len(texts) + 1

    entries: list[dict[str, Any]] = []
    while len(entries) < page["total"]:
        entries += plane.get(f"{path}/templates", limit=40, offset=len(entries))["templates"]
    assert sum(entry["count"] for entry in entries) == lines
    assert sum(entry["share"] for entry in entries) == pytest.approx(1)
    assert [entry["count"] for entry in entries] == sorted((e["count"] for e in entries), reverse=True)
    assert {entry["log_key"] for entry in entries} == {None, *range(len(texts))}
    content = log.read_bytes()
    for entry in entries:
        assert entry["template"] == (None if entry["log_key"] is None else texts[entry["log_key"]])
        if not entry["count"]:
            assert entry["example"] is entry["example_source"] is None
            continue
        assert entry["example_source"] == str(log)
        line = content[entry["example_offset"] :].split(b"\n", 1)[0]
        shown = line[:256].decode("utf-8", "replace").rstrip("\ufffd" if len(line) > 256 else "")
        assert entry["example"] == shown.replace("\r", "")
        assert entry["example_cut"] == (len(line) > 256)
    (unseen,) = [entry for entry in entries if entry["log_key"] is None]
    assert unseen["count"] >= len(HOSTILE)

    common = entries[0]
    found = plane.get(f"{path}/templates", query=common["template"].upper(), unseen=True)
    assert common["log_key"] in [entry["log_key"] for entry in found["templates"]]
    assert found["total"] < page["total"]
    by_key = plane.get(f"{path}/templates", sort="key", limit=3, unseen=False)
    assert [entry["log_key"] for entry in by_key["templates"]] == [0, 1, 2]
    plane.post(f"{path}/stop", status=200)
    until(lambda: plane.get(path)["state"] == "done")
    said = plane.client.get(f"{path}/templates")
    assert (said.status_code, said.json()["detail"]) == (409, f"{path.rpartition('/')[2]} does not run")


@pytest.mark.parametrize("which", range(len(HOSTILE)))
def test_a_hostile_line_is_text(plane: Serving, made: Made, which: int) -> None:
    log = plane.folder / f"hostile-{which}.log"
    log.write_bytes(HEAD + HOSTILE[which] + b"\n")
    path = begin(plane, made, log)
    page = has_read(plane, path, 1)
    shown = next(entry for entry in page["templates"] if entry["count"])
    line = HEAD + HOSTILE[which]
    assert shown["log_key"] is None
    assert shown["example_cut"] == (len(line) > 256)
    assert line.decode("utf-8", "replace").startswith(shown["example"])
    assert len(shown["example"].encode()) > 240 or shown["example"] == line.decode("utf-8", "replace")
    plane.post(f"{path}/stop", status=200)


def test_rates_follow_what_comes(plane: Serving, made: Made) -> None:
    log = plane.folder / "growing.log"
    log.write_bytes(b"")
    path = begin(plane, made, log)
    assert has_read(plane, path, 0)["templates"][0]["eps"] == 0

    def grown() -> Any:
        with log.open("ab") as file:
            file.write(HEAD + b"something that was never heard of\n")
        first = plane.get(f"{path}/templates", sort="rate", limit=1)["templates"][0]
        return first if first["eps"] > 0 else None

    first = until(grown)
    assert first["log_key"] is None
    assert first["count"] > 0
    plane.post(f"{path}/stop", status=200)


def test_refusals(plane: Serving, made: Made) -> None:
    assert plane.client.get("/detectors/detector-99/templates").status_code == 404
    for wrong in ("sort=size", "limit=0", "limit=501", "offset=-1", "query=" + "x" * 201, "unseen=maybe"):
        assert plane.client.get(f"/detectors/detector-1/templates?{wrong}").status_code == 422, wrong


def test_a_detector_that_hangs_is_said(tmp_path: Path, made: Made) -> None:
    log = tmp_path / "hanging.log"
    log.write_bytes(b"")
    read = [str(made.bundles), str(tmp_path)]
    with serving(tmp_path / "serve", read=read, healing={"enabled": False}) as plane:
        path = begin(plane, made, log)
        (pid,) = plane.children()
        os.kill(pid, signal.SIGSTOP)
        try:
            said = plane.client.get(f"{path}/templates")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert said.status_code == 409
        assert "did not answer" in said.json()["detail"]
        has_read(plane, path, 0)
