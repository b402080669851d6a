"""haechi tune: on made trees of /proc and /sys alone; the machine's own settings are never touched."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from haechi.tune import apply as applying
from haechi.tune.apply import TuneError, apply, undo, write_sysctl_file
from haechi.tune.settings import (
    SYSCTLS,
    Machine,
    Setting,
    advise,
    buffer_bytes,
    enough,
    plan_changes,
    read_machine,
    render_sysctl_file,
    value_path,
    warnings,
)
from tests.conftest import Ran

Haechi = Callable[..., Ran]

# A machine as Linux sets it up by itself.
DEFAULTS = {
    "net.core.rmem_max": "212992",
    "net.core.wmem_max": "212992",
    "net.core.rmem_default": "212992",
    "net.core.wmem_default": "212992",
    "net.core.netdev_max_backlog": "1000",
    "net.core.netdev_budget": "300",
    "net.ipv4.udp_mem": "190000\t253000\t380000",
    "net.ipv4.udp_rmem_min": "4096",
    "net.ipv4.ip_local_port_range": "32768\t60999",
}
MACHINE = Machine(
    values={name: " ".join(value.split()) for name, value in DEFAULTS.items()},
    governors={"cpu0": "schedutil", "cpu1": "performance"},
    governors_offered=frozenset({"performance", "schedutil"}),
    cpus=2,
    memory_bytes=16 << 30,
    page_bytes=4096,
    open_files=1024,
    udp_gso=True,
    udp_gro=True,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    files = {f"proc/sys/{name.replace('.', '/')}": value for name, value in DEFAULTS.items()}
    for cpu, governor in MACHINE.governors.items():
        place = f"sys/devices/system/cpu/{cpu}/cpufreq"
        files |= {f"{place}/scaling_governor": governor}
        files |= {f"{place}/scaling_available_governors": "performance schedutil"}
    files |= {
        "proc/meminfo": f"MemTotal:       {16 << 20} kB\nMemFree: 1 kB",
        "proc/self/limits": "Limit  Soft Limit  Hard Limit  Units\nMax open files   1024    524288    files",
        "proc/sys/kernel/osrelease": "6.1.0-13-amd64",
        "sys/devices/system/cpu/cpufreq/boost": "1",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return folder


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def by_name(machine: Machine, ports: int = 40, eps: float = 4e6) -> dict[str, Setting]:
    return {setting.name: setting for setting in advise(machine, ports, eps)}


def with_value(name: str, value: str | None) -> Machine:
    values = {**MACHINE.values, name: value}
    return replace(MACHINE, values={name: text for name, text in values.items() if text is not None})


def everything(folder: Path) -> dict[str, str]:
    """Every file, as the kernel would show it."""
    return {
        str(path.relative_to(folder)): " ".join(path.read_text().split())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_snapshot_of_a_tree(root: Path) -> None:
    assert read_machine(root, page_bytes=4096) == MACHINE


def test_a_snapshot_of_nothing(tmp_path: Path) -> None:
    machine = read_machine(tmp_path, page_bytes=4096)
    assert machine == Machine({}, {}, frozenset(), 1, None, 4096, None, None, None)
    settings = advise(machine, 40, 4e6)
    assert {setting.enough for setting in settings} == {None}
    assert plan_changes(machine, settings) == []
    assert warnings(40, 4e6, tmp_path) == []


def test_a_snapshot_of_this_machine() -> None:
    machine = read_machine()
    assert machine.cpus >= 1
    assert machine.memory_bytes is not None
    assert len(advise(machine, 40, 4e6)) == len(SYSCTLS) + 4


@pytest.mark.parametrize(
    ("release", "gso", "gro"),
    [
        ("4.17.3", False, False),
        ("4.18.0", True, False),
        ("5.0", True, True),
        ("6.1.0-13", True, True),
        ("?", None, None),
    ],
)
def test_offloads_by_release(root: Path, release: str, gso: bool | None, gro: bool | None) -> None:
    (root / "proc/sys/kernel/osrelease").write_text(release)
    machine = read_machine(root)
    assert (machine.udp_gso, machine.udp_gro) == (gso, gro)


@pytest.mark.parametrize(
    ("ports", "eps", "name", "advised"),
    [
        (40, 4e6, "net.core.rmem_max", "8388608"),
        (1, 4e6, "net.core.rmem_max", "268435456"),
        (40, 4e6, "net.core.wmem_max", "4194304"),
        (40, 4e6, "net.core.rmem_default", "1048576"),
        (40, 4e6, "net.core.netdev_max_backlog", "16000"),
        (40, 20e6, "net.core.netdev_max_backlog", "128000"),
        (40, 4e6, "net.core.netdev_budget", "1200"),
        (40, 1e6, "net.core.netdev_budget", "600"),
        (40, 4e6, "net.ipv4.udp_mem", "190000 253000 380000"),
        (100, 20e6, "net.ipv4.udp_mem", "819200 1024000 1228800"),
        (40, 4e6, "net.ipv4.udp_rmem_min", "65536"),
        (40, 4e6, "net.ipv4.ip_local_port_range", "32768 60999"),
        (40, 4e6, "open_files", "4096"),
        (40, 4e6, "cpu.governor", "performance"),
    ],
)
def test_advice_follows_from_the_rate(ports: int, eps: float, name: str, advised: str) -> None:
    setting = by_name(MACHINE, ports, eps)[name]
    assert setting.advised == advised
    assert setting.enough is (setting.current == advised)


def test_defaults_suffice_for_little() -> None:
    short = [setting.name for setting in advise(MACHINE, 4, 1000) if not setting.enough]
    assert short == ["cpu.governor", "open_files"]


@pytest.mark.parametrize("ports", [1, 7, 40, 100])
@pytest.mark.parametrize("eps", [1, 1e5, 4e6, 2e7])
@pytest.mark.parametrize("memory", [None, 256 << 20, 2 << 30, 512 << 30])
def test_buffers_fit_into_memory(ports: int, eps: float, memory: int | None) -> None:
    buffer = buffer_bytes(replace(MACHINE, memory_bytes=memory), ports, eps)
    assert buffer & (buffer - 1) == 0
    assert 65_536 <= buffer <= 256 << 20 or memory == 512 << 30
    assert memory is None or 2 * buffer * ports <= memory // 4


@pytest.mark.parametrize("factor", [1, 3, 1000])
def test_nothing_is_lowered(factor: int) -> None:
    values = {
        name: " ".join(str(int(word) * factor) for word in value.split())
        for name, value in MACHINE.values.items()
        if name != "net.ipv4.ip_local_port_range"
    }
    for eps in (1.0, 4e6):
        for name, setting in by_name(
            replace(MACHINE, values=values, open_files=1024 * factor), eps=eps
        ).items():
            if name in values or name == "open_files":
                current, advised = (
                    list(map(int, (text or "").split())) for text in (setting.current, setting.advised)
                )
                assert all(a >= c for c, a in zip(current, advised, strict=True)), name
                assert setting.enough is (advised == current)


@pytest.mark.parametrize(
    ("now", "cpus", "advised"),
    [
        ("32768 60999", 2, "32768 60999"),
        ("40000 41000", 2, "32768 60999"),
        ("1024 65535", 2, "1024 65535"),
        ("40000 65535", 300, "10240 65535"),
    ],
)
def test_port_ranges_are_only_widened(now: str, cpus: int, advised: str) -> None:
    machine = replace(with_value("net.ipv4.ip_local_port_range", now), cpus=cpus)
    setting = by_name(machine, ports=100)["net.ipv4.ip_local_port_range"]
    assert (setting.advised, setting.enough) == (advised, now == advised)


@pytest.mark.parametrize("value", [None, "", "many", "-1", "1 2", "9" * 30])
def test_what_cannot_be_seen_is_not_judged(value: str | None) -> None:
    setting = by_name(with_value("net.core.rmem_max", value))["net.core.rmem_max"]
    assert (setting.enough, setting.advised) == (None, None)
    assert "look on the host" in setting.why


@pytest.mark.parametrize(
    ("governors", "offered", "verdict"),
    [
        ({}, set(), None),
        ({"cpu0": "performance"}, {"performance"}, True),
        ({"cpu0": "powersave"}, {"performance", "powersave"}, False),
        ({"cpu0": "powersave"}, set(), False),
        ({"cpu0": "userspace"}, {"userspace"}, None),
    ],
)
def test_governors(governors: dict[str, str], offered: set[str], verdict: bool | None) -> None:
    machine = replace(MACHINE, governors=governors, governors_offered=frozenset(offered))
    assert by_name(machine)["cpu.governor"].enough is verdict


def test_warnings_are_of_what_holds_us_back(root: Path) -> None:
    named = [re.split(r" is ", sentence)[0] for sentence in warnings(40, 4e6, root)]
    assert named == ["net.core.rmem_max", "cpu.governor", "open_files"]
    assert warnings(40, 4e6, root)[0].startswith("net.core.rmem_max is 212992, 8388608 is advised: ")
    apply(plan_changes(MACHINE, advise(MACHINE, 40, 4e6)), root / "state.json", root)
    (root / "proc/self/limits").write_text("Max open files unlimited unlimited files")
    assert warnings(40, 4e6, root) == []


# --- effects


def changes_of(root: Path) -> list[Any]:
    machine = read_machine(root)
    return plan_changes(machine, advise(machine, 40, 4e6))


def test_apply_and_undo(root: Path, tmp_path: Path) -> None:
    state = tmp_path / "new" / "tune.json"
    before = everything(root)
    outcomes = apply(changes_of(root), state, root)
    assert [outcome.refused for outcome in outcomes] == [None] * 8  # seven sysctls, one CPU
    assert everything(root)["proc/sys/net/core/rmem_max"] == "8388608"
    assert everything(root)["sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"] == "performance"
    assert changes_of(root) == []
    assert state.stat().st_mode & 0o777 == 0o600
    assert all(outcome.refused is None for outcome in undo(state, root))
    assert everything(root) == before
    assert not state.exists()
    with pytest.raises(TuneError, match="nothing was applied"):
        undo(state, root)


def test_undo_leads_back_to_the_beginning(root: Path, tmp_path: Path) -> None:
    state = tmp_path / "tune.json"
    before = everything(root)
    for eps in (1e6, 4e6, 20e6):
        machine = read_machine(root)
        apply(plan_changes(machine, advise(machine, 40, eps)), state, root)
    undo(state, root)
    assert everything(root) == before


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    """Opening this one file to write ends so; as a container's /proc/sys, or a kill in the middle."""
    real = os.open

    def open_(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith(name) and flags & os.O_WRONLY:
            raise error
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", open_)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "set it on the host"),
        (errno.EACCES, "set it on the host"),
        (errno.ENOENT, "is not there"),
        (errno.EINVAL, "Invalid argument"),
    ],
)
def test_one_refusal_keeps_nothing_else_back(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    state, before = tmp_path / "tune.json", everything(root)
    with monkeypatch.context() as patch:
        refuse(patch, "wmem_max", OSError(number, os.strerror(number)))
        outcomes = apply(changes_of(root), state, root)
    refused = {outcome.name: outcome.refused for outcome in outcomes if outcome.refused}
    assert list(refused) == ["net.core.wmem_max"]
    assert words in (refused["net.core.wmem_max"] or "")
    assert everything(root)["proc/sys/net/core/wmem_default"] == "1048576"
    assert "net.core.wmem_max" not in json.loads(state.read_text())["before"]
    undo(state, root)
    assert everything(root) == before


def test_all_refused_leaves_no_record(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "", OSError(errno.EROFS, os.strerror(errno.EROFS)))
    monkeypatch.setattr(applying, "_write_state", lambda state, before: state.write_text("{}"))
    state = tmp_path / "tune.json"
    assert all(outcome.refused for outcome in apply(changes_of(root), state, root))
    assert not state.exists()


def test_undo_after_a_kill_in_the_middle(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, before = tmp_path / "tune.json", everything(root)
    with monkeypatch.context() as patch:
        refuse(patch, "netdev_budget", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            apply(changes_of(root), state, root)
    assert everything(root) != before
    undo(state, root)
    assert everything(root) == before
    assert not state.exists()


def test_what_undo_cannot_set_back_stays_recorded(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, before = tmp_path / "tune.json", everything(root)
    apply(changes_of(root), state, root)
    with monkeypatch.context() as patch:
        refuse(patch, "scaling_governor", OSError(errno.ENODEV, os.strerror(errno.ENODEV)))
        outcomes = undo(state, root)
    assert [outcome.name for outcome in outcomes if outcome.refused] == ["cpu0.governor"]
    assert json.loads(state.read_text())["before"] == {"cpu0.governor": "schedutil"}
    undo(state, root)
    assert everything(root) == before


def test_a_value_that_the_kernel_takes_otherwise_is_said(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "read_value", lambda path: "300")
    outcomes = apply(changes_of(root), tmp_path / "tune.json", root)
    assert (outcomes[0].refused or "").endswith("was given 8388608 and says 300")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "before": {}}',
        '{"format": 1, "before": {"kernel.core_pattern": "|/bin/sh"}}',
        '{"format": 1, "before": {"cpu0/../../x.governor": "y"}}',
        '{"format": 1, "before": {"net.core.rmem_max": 1}}',
        '{"format": 1, "before": ["net.core.rmem_max"]}',
    ],
)
def test_a_record_that_is_none_is_refused(root: Path, tmp_path: Path, text: str) -> None:
    state, before = tmp_path / "tune.json", everything(root)
    state.write_text(text)
    with pytest.raises(TuneError, match=re.escape(str(state))):
        undo(state, root)
    assert everything(root) == before


def test_a_name_that_is_no_setting_has_no_path() -> None:
    assert value_path(Path("/"), "cpu12.governor").name == "scaling_governor"
    with pytest.raises(ValueError, match="no setting"):
        value_path(Path("/"), "kernel.panic")


def test_the_sysctl_file(tmp_path: Path) -> None:
    path = tmp_path / "90-haechi.conf"
    text = render_sysctl_file(advise(MACHINE, 40, 4e6), 40, 4e6)
    for _ in range(2):  # its own file may be written again
        write_sysctl_file(path, text)
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert [line.split(" = ")[0] for line in lines] == list(SYSCTLS)
    assert "net.core.rmem_max = 8388608" in lines
    assert "# It was 212992." in text
    assert path.stat().st_mode & 0o777 == 0o644
    path.write_text("vm.swappiness = 1\n")
    with pytest.raises(TuneError, match="name another file"):
        write_sysctl_file(path, text)
    assert "no advice" in render_sysctl_file(advise(with_value(SYSCTLS[0], None), 40, 4e6), 40, 4e6)


# --- the command


def test_the_table_and_the_json(haechi: Haechi, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("80", "160"):
        monkeypatch.setenv("COLUMNS", columns)
        ran = haechi("tune", "--root", str(root))
        assert ran.status == 0
        assert all(name in ran.out for name in SYSCTLS)  # whole, to be copied
        assert "40 ports and 4,000,000 events" in ran.out
        assert ran.out.count("receiving socket") == 1
    ran = haechi("tune", "--root", str(root), "--json", "--ports", "8", "--eps", "500k")
    whole = json.loads(ran.out)
    assert (ran.status, whole["ports"], whole["eps"], whole["enough"]) == (0, 8, 500_000, False)
    assert {"name", "current", "advised", "enough", "why"} <= whole["settings"][0].keys()


def test_check_has_a_status_of_its_own(haechi: Haechi, root: Path, tmp_path: Path, as_root: None) -> None:
    assert haechi("tune", "--root", str(root), "--check").status == 99
    state = str(tmp_path / "tune.json")
    (root / "proc/self/limits").write_text("Max open files  65536  65536  files")
    ran = haechi("tune", "--root", str(root), "--apply", "--state", state, "--check", "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["enough"]
    assert len(json.loads(ran.out)["applied"]) == 8
    assert state in ran.err
    ran = haechi("tune", "--root", str(root), "--apply", "--state", state)
    assert "nothing had to be set" in ran.err
    ran = haechi("tune", "--root", str(root), "--undo", "--state", state, "--json")
    assert len(json.loads(ran.out)["undone"]) == 8
    assert (root / "proc/sys/net/core/rmem_max").read_text().strip() == "212992"
    ran = haechi("tune", "--root", str(root), "--undo", "--state", state)
    assert (ran.status, "nothing was applied" in ran.err) == (1, True)


@pytest.mark.parametrize("option", ["--apply", "--undo"])
def test_only_root_may(
    haechi: Haechi, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    before = everything(root)
    ran = haechi("tune", "--root", str(root), option, "--state", str(tmp_path / "tune.json"))
    assert ran.status == 1
    assert f"sudo haechi tune {option}" in ran.err
    assert everything(root) == before


def test_a_refusal_is_a_sentence(
    haechi: Haechi, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_root: None
) -> None:
    refuse(monkeypatch, "rmem_max", OSError(errno.EROFS, os.strerror(errno.EROFS)))
    ran = haechi("tune", "--root", str(root), "--apply", "--state", str(tmp_path / "tune.json"))
    assert ran.status == 1
    assert "net.core.rmem_max: " in ran.err
    assert "as in a container" in ran.err
    assert "Traceback" not in ran.err


def test_wrong_usage(haechi: Haechi, root: Path, tmp_path: Path) -> None:
    assert haechi("tune", "--root", str(root), "--undo", "--apply").status == 2
    assert haechi("tune", "--ports", "0").status == 2
    assert haechi("tune", "--eps", "fast").status == 2
    ran = haechi("tune", "--root", str(root), "--write", str(tmp_path / "no" / "file"))
    assert ran.status == 1
    ran = haechi("tune", "--root", str(root), "--write", str(tmp_path / "file.conf"))
    assert (ran.status, "is written" in ran.err) == (0, True)


def test_enough_is_of_what_can_be_said() -> None:
    one = Setting("a", "1", "1", True, "", False)
    assert enough([one, replace(one, enough=None)])
    assert not enough([one, replace(one, enough=False)])
