"""Settings for kinds of use: they load, they are explained, and they lie under the file and the options."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from haechi.config.detect import DetectConfig
from haechi.config.load import ConfigError, load_yaml
from haechi.config.presets import PRESETS, find_preset, read_preset

NEEDED = {"bundle": "b", "sources": ["app.log"]}
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_loads_and_explains_every_key(name: str) -> None:
    settings = load_yaml(None, DetectConfig, NEEDED, read_preset(name))
    assert settings.follow
    text = find_preset(name).read_text()
    assert f"haechi detect --preset {name}:" in text.splitlines()[0]
    keys = set(yaml.safe_load(text))
    explained = [block for block in text.split("\n\n") if block.lstrip().startswith("#") or "  #" in block]
    for key in keys:
        assert any(f"{key}:" in block for block in explained), f"{key} has no comment in its block"
    assert not keys & {"bundle", "sources", "alerts", "stats_page", "control_socket", "checkpoint", "rules"}


def test_the_presets_are_of_their_kinds() -> None:
    web, payments, platform = (
        load_yaml(None, DetectConfig, NEEDED, read_preset(name)) for name in ("web", "payments", "platform")
    )
    assert web.polling and web.poll_ms == 10_000
    assert not payments.polling and payments.max_model_windows_per_batch == 0
    assert payments.batch_bytes < web.batch_bytes and payments.novelty.repeat_s == 3
    assert platform.workers > payments.workers > web.workers
    assert platform.ml_budget > 0 and payments.ml_budget == web.ml_budget == 0


def test_every_file_of_the_folder_is_a_preset() -> None:
    assert sorted(path.stem for path in (ROOT / "configs" / "presets").iterdir()) == sorted(PRESETS)


def test_a_wheel_has_them_too() -> None:
    text = (ROOT / "src" / "haechi" / "meson.build").read_text()
    for name in PRESETS:
        assert f"configs/presets/{name}.yaml" in text


def test_options_win_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "detect.yaml"
    file.write_text("workers: 3\nbatch_bytes: 8192\nnovelty: {max_shapes: 7}\n")
    settings = load_yaml(file, DetectConfig, {**NEEDED, "workers": 5}, read_preset("payments"))
    assert settings.workers == 5  # the option
    assert settings.batch_bytes == 8192  # the file
    assert settings.novelty.max_shapes == 7  # the file, within a group
    assert settings.novelty.repeat_s == 3  # the preset
    assert settings.readers == 1  # the default


def test_a_preset_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"'\.\./detect' is none of web, payments, platform"):
        find_preset("../detect")
