"""What of a client's scenario is taken, refused, and changed before it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from haechi.config.serve import ServeConfig
from haechi.serve import scenarios
from haechi.serve.scenarios import NoScenarioError, Shelf, ShippedError, runnable
from haechi.serve.wishes import WishError
from haechi.storm.targets import TargetError
from haechi.trial.scenario import Scenario

PLAIN = "name: mine\nsteps: [{rate: 20k, duration: 10s, criteria: [loss_ratio == 0]}]\n"
COUNT = "cat /run/receiver/count"
URL = "http://127.0.0.1:9000/stats"


def shelf(folder: Path, **settings: Any) -> Shelf:
    (folder / "files").mkdir(exist_ok=True)
    return Shelf(ServeConfig(state=folder, **settings))


def with_received(received: str) -> str:
    target = f'{{kind: other, ports: "5514", received: {received}}}'
    return f"name: t\ntarget: {target}\nsteps: [{{rate: 1k, duration: 1s}}]"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "name: is required"),
        ("just words", "not keys with values"),
        ("name: [", "is not YAML"),
        ("name: \0", "is not YAML"),
        ("name: a\nname: b", "is there twice"),
        ("name: x\nsteps: []", "either steps or search is needed"),
        ("name: x\nstepz: [{rate: 1k, duration: 1s}]", "did you mean steps"),
        ("name: x\nsteps: [{rate: 1k, duration: 1s, criteria: [import os]}]", "is not a criterion"),
        # Made to cost much.
        ("a: &a [x, x]\nb: [*a, *a]", "anchors and aliases"),
        ("name: &x y", "anchors and aliases"),
        ("a: " + "[" * 60_000, "deeper than 12 levels"),
        ("a: " + "{b: " * 10_000, "deeper than 12 levels"),
        ("a: [" + "1," * 25_000 + "]", "more than 20000 nodes"),
        ("name: " + "x" * 5000, "longer than 4000 characters"),
        ("name: x\nsteps: [{rate: " + "9" * 3999 + ", duration: 1s}]", "cannot be read"),
        ("name: x\nsteps: [{rate: 1k, duration: .inf}]", "no end"),
        ("name: x\nsteps: [{rate: 1k, duration: .nan}]", "is not a time"),
        ("name: x\nsteps: [{rate: 1k, duration: 1s}]\ntarget: {train_lines: .inf}", "cannot be read"),
        ("name: 2026-99-99", "cannot be read"),
        ("name: !!python/object/apply:os.system [id]", "is not YAML"),
        ("name: \ud800", "is not YAML"),
        # Not a client's to say.
        (with_received('{command: [sh, -c, "id"]}'), "target.received.command: a client may only name"),
        (with_received('{url: "http://169.254.169.254/latest"}'), "target.received.url: a client may only"),
        (with_received(f'{{command: "{COUNT} /etc/shadow"}}'), "may only name one"),
        (with_received(f'{{url: "{URL}"}}, allow_target: true'), "allow_target: not a client's to set"),
        ("name: t\nstorm: {tls_ca: /etc/passwd}\nsteps: [{rate: 1k, duration: 1s}]", "may read"),
        ("name: t\nstorm: {profile: ../../etc/passwd}\nsteps: [{rate: 1k, duration: 1s}]", "may read"),
        ("name: t\ntarget: {kind: detect, bundle: /etc}\nsteps: [{rate: 1k, duration: 1s}]", "may read"),
        (
            "name: t\ntarget: {kind: detect, train_lines: 100M}\nsteps: [{rate: 1, duration: 1}]",
            "the most here",
        ),
        ("name: t\nsteps: [{rate: 1k, duration: 800h}]", "33 days; 30 are the most"),
        # As for a storm.
        ("name: t\ntarget: {address: 8.8.8.8}\nsteps: [{rate: 1k, duration: 1s}]", "outside loopback"),
        ('name: t\ntarget: {ports: "22"}\nsteps: [{rate: 1k, duration: 1s}]', "below 514"),
        ("name: t\nsteps: [{rate: 6M, duration: 1s}]", "above the limit of 5,000,000"),
        ("name: t\nstorm: {max_eps: 1G}\nsteps: [{rate: 6M, duration: 1s}]", "above the limit of 5,000,000"),
        ("name: t\nsearch: {to: 6M}", "above the limit of 5,000,000"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    kept = shelf(tmp_path, max_eps=5e6, trial_counts=(COUNT, URL))
    since = time.monotonic()
    with pytest.raises((WishError, TargetError)) as refused:
        kept.keep("mine", text)
    assert complaint in str(refused.value)
    assert "/dev/fd" not in str(refused.value)
    assert time.monotonic() - since < 5
    assert not (tmp_path / "scenarios" / "mine.yaml").exists()


def test_a_clients_own(tmp_path: Path) -> None:
    kept = shelf(tmp_path)
    assert kept.keep("mine", PLAIN).scenario.name == "mine"
    assert (tmp_path / "scenarios" / "mine.yaml").read_text() == PLAIN
    with pytest.raises(WishError):
        kept.keep("mine", "name: worse")
    assert kept.get("mine").text == PLAIN
    assert [entry.name for entry in kept.entries() if not entry.shipped] == ["mine"]
    kept.keep("mine", PLAIN.replace("name: mine", "name: newer"))
    assert kept.get("mine").scenario.name == "newer"
    kept.remove("mine")
    for gone in (kept.get, kept.remove):
        with pytest.raises(NoScenarioError):
            gone("mine")


@pytest.mark.parametrize("name", ["", "..", "../x", "A", "a/b", "-a", ".a", "a" * 61, "a\n", "a\0"])
def test_names(tmp_path: Path, name: str) -> None:
    kept = shelf(tmp_path)
    with pytest.raises(WishError):
        kept.keep(name, PLAIN)
    for looked in (kept.get, kept.remove):
        with pytest.raises(NoScenarioError):
            looked(name)


def test_those_that_come_with_haechi_stay(tmp_path: Path) -> None:
    kept = shelf(tmp_path)
    names = [entry.name for entry in kept.entries() if entry.shipped]
    assert names == sorted(path.stem for path in scenarios.shipped_folder().glob("*.yaml"))
    assert {"burst", "endurance", "gradual", "ndr", "detect-under-load"} <= set(names)
    for change in (lambda: kept.keep("burst", PLAIN), lambda: kept.remove("burst")):
        with pytest.raises(ShippedError):
            change()


def test_a_wheel_carries_them() -> None:
    root = Path(__file__).resolve().parents[2]
    listed = (
        (root / "src" / "haechi" / "meson.build")
        .read_text()
        .partition("foreach name : [")[2]
        .partition("]")[0]
    )
    found = {path.stem for path in (root / "scenarios").glob("*.yaml")}
    assert {name.strip(" '") for name in listed.split(",")} == found


def test_those_that_come_with_haechi_may_run(tmp_path: Path) -> None:
    kept = shelf(tmp_path)
    for entry in kept.entries():
        document = runnable(entry.scenario, ServeConfig(state=tmp_path))
        Scenario.model_validate(yaml.safe_load(yaml.safe_dump(document)))


def test_what_somebody_broke_is_left_out(tmp_path: Path) -> None:
    kept = shelf(tmp_path)
    kept.keep("good", PLAIN)
    (tmp_path / "scenarios" / "broken.yaml").write_text("name: [")
    (tmp_path / "scenarios" / "long.yaml").write_text("#" * 100_000)
    (tmp_path / "scenarios" / "binary.yaml").write_bytes(b"\xff\xfe\0")
    (tmp_path / "scenarios" / "link.yaml").symlink_to("/etc/passwd")
    (tmp_path / "scenarios" / "folder.yaml").mkdir()
    assert [entry.name for entry in kept.entries() if not entry.shipped] == ["good"]
    with pytest.raises(WishError):
        kept.get("broken")
    with pytest.raises(NoScenarioError):
        kept.get("link")


def test_as_many_as_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "OWN_MAX", 2)
    kept = shelf(tmp_path)
    kept.keep("a", PLAIN)
    kept.keep("b", PLAIN)
    with pytest.raises(WishError, match="delete one first"):
        kept.keep("c", PLAIN)
    kept.keep("b", PLAIN)


@pytest.mark.parametrize("received", [f'{{command: "{COUNT}"}}', f'{{url: "{URL}", json: count}}'])
def test_what_the_server_lists_may_be_asked(received: str, tmp_path: Path) -> None:
    config = ServeConfig(state=tmp_path, trial_counts=(COUNT, URL))
    document = runnable(scenarios.read(with_received(received)), config)
    assert not document["target"]["allow_target"]


def test_the_limits_are_the_servers(tmp_path: Path) -> None:
    text = (
        f'name: t\ntarget: {{kind: other, address: 192.0.2.7, ports: "5514", received: {{url: "{URL}"}}}}\n'
        "steps: [{rate: 1k, duration: 1s}]"
    )
    config = ServeConfig(state=tmp_path, trial_counts=(URL,), allow_target=("192.0.2.7",), max_eps=3e6)
    document = runnable(scenarios.read(text), config)
    assert document["target"]["allow_target"] is True
    assert document["storm"]["max_eps"] == 3e6
    with pytest.raises(TargetError, match="above the limit"):
        runnable(scenarios.read(text), config, scale_rate=1e4 - 1)


def test_files_are_named_in_full(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "mine.yaml").write_text("x")
    text = "name: t\nstorm: {profile: mine.yaml}\nsteps: [{rate: 1k, duration: 1s}]"
    document = runnable(scenarios.read(text), ServeConfig(state=tmp_path))
    assert document["storm"]["profile"] == str((tmp_path / "files" / "mine.yaml").resolve())
