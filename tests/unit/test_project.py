"""The project's own files agree with each other."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest

import haechi
from haechi.native import _core

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_one_version() -> None:
    version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())
    assert version is not None
    assert version[1] == haechi.__version__


def test_every_constraint_is_exact() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^=\s]+", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    assert "torch==2.13.0" in lines
    for wish in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]:
        assert re.split(r"[<>=]", wish)[0].lower().replace("_", "-") in pinned, wish


@pytest.mark.parametrize("script", ["deploy/setup.sh", "deploy/lint.sh", ".ci/run"])
def test_scripts_parse_and_can_be_run(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", path], check=True)


def test_make_help_names_every_target() -> None:
    done = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory", "help"], capture_output=True, text=True
    )
    for target in ("build", "demo", "test", "bench", "lint", "fuzz", "clean"):
        assert f"make {target}\t" in done.stdout


def test_the_alert_schema_is_one() -> None:
    import json

    schema = json.loads((ROOT / "docs" / "alert.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_stub_names_what_the_binding_has() -> None:
    stub = (ROOT / "src/haechi/native/_core.pyi").read_text()
    for name in re.findall(r"^(?:class|def) (\w+)", stub, re.MULTILINE):
        if name not in ("Records", "Events"):  # shapes of dictionaries, for type checkers only
            assert hasattr(_core, name), name
