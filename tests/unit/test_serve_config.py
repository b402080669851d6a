"""What a control plane may be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from haechi.config.load import ConfigError, load_yaml
from haechi.config.serve import ChannelConfig, RuleConfig, ServeConfig

ROOT = Path(__file__).resolve().parents[2]


def test_serve_yaml_holds_the_defaults_and_explains_every_key() -> None:
    path = ROOT / "configs" / "serve.yaml"
    assert load_yaml(path, ServeConfig) == ServeConfig()
    text = path.read_text()
    for key in (*ServeConfig.model_fields, *RuleConfig.model_fields, *ChannelConfig.model_fields):
        assert f"{key}:" in text, key


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"tls_key": "k"}, "tls_certificate and tls_key need each other"),
        ({"port": 65_536}, "port: 65536 is not at most 65535"),
        ({"request_timeout": 0}, "request_timeout: 0 is not above 0"),
        ({"origins": "*"}, "origins: '*' is not one such as https://console.example"),
        ({"rules": [{"name": "x", "metric": "loss_percent"}]}, "one threshold is needed: above or below"),
        ({"rules": [{"name": "x", "metric": "los", "above": 1}]}, "'los' is none of"),
        (
            {"rules": [{"name": "x", "metric": "loss_percent", "above": 1}] * 2},
            "rules: a name is there twice",
        ),
        ({"channels": [{"name": "a b", "url": "json://x"}]}, "'a b' does not match"),
    ],
)
def test_what_cannot_be(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_yaml(None, ServeConfig, settings)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("address", "demand", "needed"),
    [
        ("127.0.0.1", False, False),
        ("127.0.0.9", False, False),
        ("::1", False, False),
        ("localhost", False, False),
        ("127.0.0.1", True, True),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("10.1.2.3", False, True),
        ("console.example", False, True),
    ],
)
def test_beyond_loopback_a_token_is_needed(address: str, demand: bool, needed: bool) -> None:
    assert ServeConfig(address=address, demand_token=demand).token_needed is needed


def test_a_channels_url_is_not_shown() -> None:
    assert "secret" not in repr(ChannelConfig(name="mail", url="mailto://me:secret@host"))
