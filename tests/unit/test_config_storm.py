"""Settings of storm and sink: what is read, what is refused, what the tools get."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from haechi.config.load import ConfigError, load_yaml
from haechi.config.sink import SinkConfig
from haechi.config.storm import FILE_COUNT, StormConfig, classic, preset
from haechi.config.values import read_count, read_ports, read_quantity, read_rate, read_seconds, show_ports
from haechi.storm.targets import TargetError, check

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
HERE: dict[str, Any] = {"target": "127.0.0.1"}


@pytest.mark.parametrize(
    ("read", "value", "wanted"),
    [
        (read_quantity, "750k", 750_000),
        (read_quantity, "0.5", 0.5),
        (read_quantity, 12, 12),
        (read_count, "1.5M", 1_500_000),
        (read_rate, "max", "max"),
        (read_rate, "4M", 4e6),
        (read_seconds, 30, 30),
        (read_seconds, "30", 30),
        (read_seconds, "1h30m", 5400),
        (read_seconds, "250ms", 0.25),
        (read_seconds, "24h", 86_400),
        (read_ports, "514-516", (514, 515, 516)),
        (read_ports, 5514, (5514,)),
        (read_ports, "601, 514-515", (601, 514, 515)),
    ],
)
def test_values_as_people_write_them(read: Callable[[Any], Any], value: Any, wanted: Any) -> None:
    assert read(value) == wanted


@pytest.mark.parametrize(
    ("read", "value", "says"),
    [
        (read_quantity, "fast", "'fast' is not a number above 0"),
        (read_quantity, 0, "0 is not a number above 0"),
        (read_quantity, True, "True is not"),
        (read_count, "0.5", "'0.5' is not a whole number"),
        (read_rate, "0", "and not max"),
        (read_seconds, "10 minutes", "is not a time such as"),
        (read_seconds, "-1", "is not a time such as"),
        (read_ports, "514-", "is not a port"),
        (read_ports, "0-3", "from 1 to 65535"),
        (read_ports, "553-514", "the lower one first"),
        (read_ports, "65530-65536", "from 1 to 65535"),
        (read_ports, "514-516,515", "names port 515 twice"),
    ],
)
def test_values_that_are_none(read: Callable[[Any], Any], value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        read(value)


@pytest.mark.parametrize("text", ["514-553", "514", "601,514-515", "1-3,5,7-9"])
def test_ports_are_shown_as_they_are_read(text: str) -> None:
    assert show_ports(read_ports(text)) == text


def test_the_files_in_configs_hold_the_defaults() -> None:
    assert load_yaml(CONFIGS / "storm.yaml", StormConfig, HERE) == load_yaml(None, StormConfig, HERE)
    assert load_yaml(CONFIGS / "sink.yaml", SinkConfig) == SinkConfig()


@pytest.mark.parametrize(("name", "model"), [("storm", StormConfig), ("sink", SinkConfig)])
def test_every_key_is_explained(name: str, model: type[BaseModel]) -> None:
    text = (CONFIGS / f"{name}.yaml").read_text()
    as_an_example = set(re.findall(r"^# (target):", text, re.MULTILINE))
    assert set(yaml.safe_load(text)) | as_an_example == set(model.model_fields)


STORM_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"target": []}, "target is required"),
    ({"output": "x"}, "target and output exclude each other"),
    ({"target": [], "output": "x", "eps": "max"}, "eps: max is of use with target only"),
    ({"target": ["a"] * 17}, "target: "),
    ({"eps": "fast"}, "eps: 'fast' is not a number of events a second"),
    ({"eps": "0.5"}, "eps: 0.5 is not at least 1"),
    ({"ports": "514-"}, "ports: '514-' is not a port"),
    ({"transport": "sctp"}, "transport: 'sctp' is none of 'udp', 'tcp' or 'tls'"),
    ({"duration": "10s", "ramp_up": "11s"}, "ramp_up: 11 s is longer than the duration, 10 s"),
    ({"duration": 0}, "duration: 0 is not above 0"),
    ({"tls_key": "k"}, "tls_certificate and tls_key need each other"),
    ({"workers": 2, "groups": 3}, "groups: 3 is more than the 2 workers"),
    ({"pin": [-1]}, "pin: -1 is not at least 0"),
    ({"pin": "some"}, "pin"),
    ({"paced": True}, "paced is of use with output only"),
    ({"target": [], "output": "x", "paced": True}, "paced needs count or duration"),
    ({"anomaly_kinds": "odd"}, "anomaly_kinds: odd is none of step_skipped"),
    ({"disturbance_events": 5}, "disturbance_events needs anomaly_kinds that are of hosts"),
    ({"anomaly_rate": 1.5}, "anomaly_rate: 1.5 is not at most 1"),
    ({"burst_us": 1}, "burst_us: 1 is not at least 50"),
    ({"port": 514}, "port: is not a key here; did you mean ports?"),
]


@pytest.mark.parametrize(("settings", "says"), STORM_REFUSED, ids=lambda value: str(value)[:40])
def test_storms_that_cannot_be(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_yaml(None, StormConfig, {**HERE, **settings})
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ports": "6000-7024"}, "ports: 1025 are too many"),
        ({"transport": "tls"}, "tls needs tls_certificate and tls_key"),
        ({"pin": "auto"}, "a list of processor numbers is needed"),
        ({"workers": 65}, "workers: 65 is not at most 64"),
        ({"idle_exit": 0}, "idle_exit: 0 is not above 0"),
        ({"max_eps": "slow"}, "max_eps: 'slow' is not a number above 0"),
    ],
)
def test_sinks_that_cannot_be(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_yaml(None, SinkConfig, settings)
    assert says in str(refused.value)


def test_a_mistake_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "storm.yaml"
    path.write_text("target: 127.0.0.1\neps: fast\n")
    with pytest.raises(ConfigError) as refused:
        load_yaml(path, StormConfig)
    assert str(refused.value).startswith(f"{path}: eps: 'fast' is not")
    assert str(refused.value).endswith("(line 2)")


def test_what_the_storm_gets() -> None:
    settings = load_yaml(
        None,
        StormConfig,
        {**HERE, "eps": "4M", "seed": 2**64 - 1, "duration": "30m", "anomaly_kinds": "all", "snapshot": "s"},
    )
    config = settings.tool_config("/dev/fd/9")
    assert config["profile"] == "/dev/fd/9"
    assert config["eps"] == "4000000.000"
    assert config["seed"] == "18446744073709551615"
    assert config["duration"] == 1800
    assert config["anomaly_kinds"] == "all"
    assert config["target"] == ["127.0.0.1"]
    assert not {"snapshot", "summary", "count", "output"} & set(config)
    unpaced = load_yaml(None, StormConfig, {**HERE, "eps": "max"})
    assert unpaced.tool_config("p")["eps"] == "max"


def test_a_file_has_no_target_and_no_ports() -> None:
    settings = load_yaml(None, StormConfig, {"output": "-", "paced": True, "count": "2k"})
    config = settings.tool_config("p")
    assert (config["output"], config["paced"], config["count"]) == ("-", True, "2000")
    assert not {"target", "ports", "allow_target", "account"} & set(config)


@pytest.mark.parametrize(
    ("settings", "count"),
    [({}, FILE_COUNT), ({"count": "2k"}, 2000), ({"eps": 100, "duration": "10s"}, 1000)],
)
def test_lines_of_a_file(settings: dict[str, Any], count: int) -> None:
    assert load_yaml(None, StormConfig, {"output": "x", **settings}).file_count == count


def test_presets() -> None:
    assert preset("500k") == {"eps": 500_000, "ports": "514-553"}
    shape = preset("4m-classic")
    assert (shape["eps"], shape["ports"], shape["workers"], shape["groups"]) == (4_000_000, "514-553", 40, 4)
    assert preset("100k-classic")["ports"] == "514"
    with pytest.raises(ValueError, match=r"preset: '3m' is none of 100k, 500k, 1m, 2m, 4m"):
        preset("3m")


def test_the_classical_shape() -> None:
    assert classic(250_000, "6000-6009") == {"ports": "6000-6002", "workers": 3, "groups": 1}
    with pytest.raises(ValueError, match="10 ports are too few for 4,000,000 events/s"):
        classic(4e6, "6000-6009")
    with pytest.raises(ValueError, match="eps max has no classical shape"):
        classic("max", "514-553")


# --- refusals

NAMES = {
    "siem": ["10.0.0.5"],
    "two.faced": ["10.0.0.5", "8.8.8.8"],
    "far": ["2001:db8::1"],
}


def looked_up(target: str) -> list[str]:
    return NAMES.get(target, [target])


@pytest.mark.parametrize(
    "target",
    [
        *("127.0.0.1", "127.9.9.9", "::1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.1.1", "fe80::1%eth0", "fc00::1", "fdff::1", "::ffff:10.0.0.1", "siem"),
    ],
)
def test_near_targets_are_allowed(target: str) -> None:
    check(StormConfig(target=(target,)), looked_up)


@pytest.mark.parametrize(
    ("target", "what"),
    [
        *[
            (address, address)
            for address in ("8.8.8.8", "172.32.0.1", "172.15.0.1", "192.169.0.1", "0.0.0.0")
        ],
        *[(address, address) for address in ("100.64.0.1", "224.0.0.1", "255.255.255.255", "2001:db8::1")],
        *[(address, address) for address in ("::ffff:8.8.8.8", "fec0::1", "::")],
        ("two.faced", "two.faced (8.8.8.8)"),
        ("far", "far (2001:db8::1)"),
    ],
)
def test_far_targets_are_refused_unless_they_are_named(target: str, what: str) -> None:
    with pytest.raises(TargetError) as refused:
        check(StormConfig(target=(target,), allow_target=("9.9.9.9",)), looked_up)
    assert f"target {what} is outside loopback, private ranges and link-local" in str(refused.value)
    assert f"--allow-target {target} (allow_target) allows exactly this one" in str(refused.value)
    check(StormConfig(target=(target,), allow_target=(target,)), looked_up)


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(TargetError, match=r"target nowhere\.invalid: cannot be looked up"):
        check(StormConfig(target=("nowhere.invalid",)))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ports": "513"}, "ports: 513 below 514"),
        ({"ports": "510-520"}, "ports: 510 and 3 more below 514"),
        ({"ports": "6000-6100"}, "ports: 101 are more than the 100 that one storm sends to"),
        ({"eps": 3e7}, "eps: 30,000,000 events/s is above the limit of 20,000,000; --max-eps 30000000"),
        ({"eps": 2000, "max_eps": 1000}, "above the limit of 1,000"),
    ],
)
def test_ports_and_rates_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(TargetError) as refused:
        check(load_yaml(None, StormConfig, {**HERE, **settings}), looked_up)
    assert says in str(refused.value)


def test_ports_that_are_meant_are_allowed() -> None:
    check(load_yaml(None, StormConfig, {**HERE, "ports": "1-200", "allow_ports": True}), looked_up)


def test_every_complaint_is_told_at_once() -> None:
    storm = StormConfig(target=("8.8.8.8", "9.9.9.9"), ports="1", eps=1e9)
    with pytest.raises(TargetError) as refused:
        check(storm, looked_up)
    assert len(str(refused.value).splitlines()) == 4


@pytest.mark.parametrize(
    "settings",
    [
        {"ports": "514-613"},
        {"eps": 2e7},
        {"eps": 3e7, "max_eps": "30M"},
        {"eps": "max"},
        {"target": [], "output": "x", "eps": 1e6, "ports": "1"},
    ],
)
def test_what_is_within_the_limits_is_begun(settings: dict[str, Any]) -> None:
    check(load_yaml(None, StormConfig, {**HERE, **settings}), looked_up)
