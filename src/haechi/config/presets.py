"""Settings for kinds of use: files that `haechi detect --preset NAME` puts under a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from haechi.config.load import ConfigError

PRESETS = ("web", "payments", "platform")

_PACKAGE = Path(__file__).resolve().parent.parent


def find_preset(name: str) -> Path:
    """The preset's file: in an installed package beside its sources, in a checkout under configs/."""
    for folder in (_PACKAGE / "presets", _PACKAGE.parent.parent / "configs" / "presets"):
        path = folder / f"{name}.yaml"
        if name in PRESETS and path.is_file():
            return path
    raise ConfigError(f"preset: {name!r} is none of {', '.join(PRESETS)}")


def read_preset(name: str) -> dict[str, Any]:
    """The settings of a preset, as its file has them; what reads a configuration checks them."""
    settings = yaml.safe_load(find_preset(name).read_text(encoding="utf-8"))
    assert isinstance(settings, dict)  # our own file
    return settings
