"""What a client may ask for: the refusals of the command line, and no file outside the folders given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from haechi.config.detect import DetectConfig
from haechi.config.serve import ServeConfig
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.serve.wishes import WishError, detect_settings, schema_of, sink_settings, storm_settings
from haechi.storm import targets

LOCAL: dict[str, Any] = {"target": "127.0.0.1"}


@pytest.fixture
def serve(tmp_path: Path) -> ServeConfig:
    (tmp_path / "state" / "files").mkdir(parents=True)
    (tmp_path / "logs" / "day").mkdir(parents=True)
    (tmp_path / "logs" / "app.log").write_text("x\n")
    (tmp_path / "logs" / "out").symlink_to("/etc")
    (tmp_path / "logs" / "ring").symlink_to("ring")
    (tmp_path / "secret").write_text("x\n")
    return ServeConfig(state=tmp_path / "state", read=(tmp_path / "logs",), max_eps=1_000_000.0)


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        ({}, "target is required"),
        ({**LOCAL, "epss": 1}, "epss: is not a key here; did you mean eps?"),
        ({**LOCAL, "eps": "fast"}, "'fast' is not a number of events a second"),
        ({**LOCAL, "eps": 10**400}, "is too large"),
        ({**LOCAL, "duration": float("inf")}, "inf is not a finite number"),
        ({**LOCAL, "tls_server_name": "\ud800"}, "half of a surrogate pair"),
        ({**LOCAL, "preset": "9m"}, "preset: '9m' is none of"),
        ({**LOCAL, "preset": 1}, "preset: is not a text"),
        ({**LOCAL, "classic": "yes"}, "classic: is not true or false"),
        ({**LOCAL, "classic": True, "eps": "max"}, "classic: eps max has no classical shape"),
        ({**LOCAL, "output": "x.log"}, "output: not a client's to set"),
        ({**LOCAL, "allow_target": "8.8.8.8"}, "allow_target: not a client's to set"),
        ({**LOCAL, "max_eps": "1G"}, "max_eps: not a client's to set"),
        ({**LOCAL, "control_socket": "/tmp/x", "stats_page": "/tmp/y"}, "control_socket, stats_page: not"),
        ({**LOCAL, "truth": "../truth"}, "'../truth' is not a plain file name"),
        ({**LOCAL, "truth": "/etc/passwd"}, "is not a plain file name"),
        ({**LOCAL, "truth": ".hidden"}, "is not a plain file name"),
        ({**LOCAL, "profile": "/etc/passwd"}, "is no file in the folders"),
        ({**LOCAL, "tls_ca": "../secret"}, "is no file in the folders"),
        ({**LOCAL, "tls_ca": "x" * 300}, "is no file in the folders"),
        ({**LOCAL, "tls_ca": "x/" * 3000}, "is no file in the folders"),
        ({**LOCAL, "tls_ca": "ring"}, "is no file in the folders"),
        ({**LOCAL, "tls_ca": {"x": 1}}, "is no file in the folders"),
        ({**LOCAL, "truth": ["t"]}, "is not a plain file name"),
        ({**LOCAL, "tls_ca": "a\0b"}, "is no file in the folders"),
        ({**LOCAL, "tls_ca": ["x"]}, "is no file in the folders"),
        ({**LOCAL, "tls_ca": "out/passwd"}, "is no file in the folders"),
    ],
)
def test_storms_that_are_refused(serve: ServeConfig, wish: dict[str, Any], complaint: str) -> None:
    with pytest.raises(WishError) as refused:
        storm_settings(wish, serve)
    assert complaint in str(refused.value)
    assert "command line" not in str(refused.value)


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        ({"target": "8.8.8.8"}, "outside loopback"),
        ({**LOCAL, "ports": "22"}, "below 514"),
        ({**LOCAL, "eps": "2M"}, "above the limit of 1,000,000"),
    ],
)
def test_storms_that_the_command_line_refuses_too(
    serve: ServeConfig, wish: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(targets.TargetError, match=complaint):
        targets.check(storm_settings(wish, serve))


def test_storms_that_are_taken(serve: ServeConfig) -> None:
    settings = storm_settings({**LOCAL, "preset": "100k", "ports": "5514-5553", "truth": "t.jsonl"}, serve)
    assert settings.eps == 100_000
    assert settings.ports == "5514-5553"
    assert settings.truth == serve.state / "files" / "t.jsonl"
    shaped = storm_settings({**LOCAL, "eps": "300k", "classic": True}, serve)
    assert (shaped.workers, shaped.ports) == (3, "514-516")
    assert storm_settings({**LOCAL, "profile": "web"}, serve).profile == "web"


def test_a_written_file_is_not_written_through_a_link(serve: ServeConfig, tmp_path: Path) -> None:
    (serve.state / "files" / "w").symlink_to(tmp_path / "secret")
    with pytest.raises(WishError, match="is a link"):
        sink_settings({"write": "w"}, serve)
    assert sink_settings({"write": "v"}, serve).write == serve.state / "files" / "v"
    with pytest.raises(WishError, match="is not a plain file name"):
        sink_settings({"write": "-"}, serve)


@pytest.mark.parametrize(
    ("sources", "taken"),
    [
        (["app.log"], ["app.log"]),
        (["day/*.log"], ["day/*.log"]),
        (["*.log"], None),
        (["/etc/passwd"], None),
        (["/etc/*"], None),
        (["../sec*"], None),
        (["out/pass*"], None),
        (["*/app.log"], None),
        (["-"], None),
        (["/*"], None),
    ],
)
def test_logs_of_a_detector(
    serve: ServeConfig, tmp_path: Path, sources: list[str], taken: list[str] | None
) -> None:
    bundle = tmp_path / "logs" / "bundle"
    bundle.mkdir()
    wish = {"bundle": "bundle", "sources": sources}
    if taken is None:
        with pytest.raises(WishError):
            detect_settings(wish, serve, tmp_path / "alerts")
    else:
        settings = detect_settings(wish, serve, tmp_path / "alerts")
        assert settings.sources == tuple(str(tmp_path / "logs" / name) for name in taken)
        assert settings.bundle == bundle
        assert settings.alerts == str(tmp_path / "alerts")


@pytest.mark.parametrize("key", ["alerts", "checkpoint", "onnxruntime", "stats_page", "control_socket"])
def test_a_detectors_own_files_are_the_servers(serve: ServeConfig, tmp_path: Path, key: str) -> None:
    with pytest.raises(WishError, match=f"{key}: not a client's to set"):
        detect_settings({"bundle": "b", key: "x"}, serve, tmp_path / "alerts")


def test_schemas_say_what_is_taken() -> None:
    storm = schema_of(StormConfig, preset=True)
    jsonschema.Draft202012Validator.check_schema(storm)
    jsonschema.validate({"target": "127.0.0.1", "eps": "4M", "ports": "514-553", "preset": "4m"}, storm)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"output": "x"}, storm)
    for model in (SinkConfig, DetectConfig):
        jsonschema.Draft202012Validator.check_schema(schema_of(model))
        assert "$ref" not in str(schema_of(model))
