"""The files in configs/ say what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from haechi.config.detect import DetectConfig
from haechi.config.incidents import IncidentsConfig
from haechi.config.load import ConfigError, load_yaml
from haechi.config.training import TrainingConfig

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NEEDED = {"bundle": "b", "sources": ["-"]}


def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        found.add(prefix + name)
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= keys(part, f"{prefix}{name}.")
    return found


def test_detect_yaml_holds_the_defaults() -> None:
    assert load_yaml(CONFIGS / "detect.yaml", DetectConfig, NEEDED) == load_yaml(None, DetectConfig, NEEDED)


def test_training_yaml_holds_the_defaults() -> None:
    assert load_yaml(CONFIGS / "training.yaml", TrainingConfig) == TrainingConfig()


def test_incidents_yaml_holds_the_defaults() -> None:
    assert load_yaml(CONFIGS / "incidents.yaml", IncidentsConfig) == IncidentsConfig()


@pytest.mark.parametrize(
    ("name", "model"),
    [("detect", DetectConfig), ("training", TrainingConfig), ("incidents", IncidentsConfig)],
)
def test_every_key_is_explained(name: str, model: type[BaseModel]) -> None:
    text = (CONFIGS / f"{name}.yaml").read_text()
    for key in keys(model):
        assert f"{key.rpartition('.')[2]}:" in text, f"{key} is not in configs/{name}.yaml"
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            yaml.safe_load(line)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"workers": 0}, "workers: 0 is not at least 1"),
        ({"workers": 2, "pin": [0]}, "pin names 1 processors for 2 workers; one each is needed"),
        ({"pin": [-1]}, "pin: -1 is not at least 0"),
        ({"from_end": True}, "from_end is of use only with follow: true"),
        ({"checkpoint": {"path": "c"}}, "standard input cannot be read again"),
        ({"sources": []}, "sources: no log is named, and nothing to listen to (udp, tcp, tls)"),
        ({"udp": ["1.2.3.4"]}, "'1.2.3.4' is not a port, a range or a list of them"),
        ({"udp": ["::1:514"]}, "'::1:514' is not ADDRESS:PORTS"),
        ({"tcp": [":514"]}, "':514' is not ADDRESS:PORTS"),
        ({"udp": "1.2.3.4:0"}, "'0' is not a range of ports from 1 to 65535"),
        ({"udp": ["1.2.3.4:1-1025"]}, "names 1025 ports; at most 1024 are possible in one place"),
        ({"tls": ["6514"]}, "tls needs tls_certificate and tls_key"),
        ({"tls": ["6514"], "tls_key": "k"}, "tls needs tls_certificate and tls_key"),
        ({"readers": 17}, "readers: 17 is not at most 16"),
        ({"framing": "lines"}, "framing: 'lines' is none of 'auto', 'octets' or 'newline'"),
        ({"checkpoint": {}}, "checkpoint.path: is required"),
        ({"novelty": {"max_shapes": 0}}, "novelty.max_shapes: 0 is not at least 1"),
        ({"batch_bytes": 1}, "batch_bytes: 1 is not at least 4096"),
    ],
)
def test_detect_settings_that_cannot_be(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_yaml(None, DetectConfig, {**NEEDED, **settings})
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("514-553", ("514-553",)),
        (514, ("514",)),
        (["127.0.0.1:514", "[::1]:514,601"], ("127.0.0.1:514", "[::1]:514,601")),
        ("*:6514", ("*:6514",)),
    ],
)
def test_a_network_needs_no_log(given: object, want: tuple[str, ...]) -> None:
    settings = load_yaml(None, DetectConfig, {"bundle": "b", "udp": given})
    assert settings.udp == want
    assert settings.listens
    assert settings.engine_config(Path("lib.so"))["udp"] == list(want)


def test_the_engine_gets_the_latest_bundle_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "0123").mkdir()
    (tmp_path / "0123" / "manifest.json").write_text("{}")
    (tmp_path / "latest").symlink_to("0123")
    for given, expected in ((tmp_path, tmp_path / "latest"), (tmp_path / "0123", tmp_path / "0123")):
        settings = load_yaml(None, DetectConfig, {"bundle": given, "sources": ["-"]})
        assert settings.engine_config(Path("lib.so"))["bundle"] == str(expected)


def test_what_is_not_set_is_not_rendered() -> None:
    rendered = load_yaml(None, DetectConfig, NEEDED).engine_config(Path("lib.so"))
    assert rendered["onnxruntime"] == "lib.so"
    assert "checkpoint" not in rendered
    assert rendered["novelty"] == {"max_shapes": 4096}
