"""Scenarios that a client may run: those that come with haechi, and its own, checked before they are kept and
again before they are run."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import haechi
from haechi.config.load import ConfigError
from haechi.config.serve import ServeConfig
from haechi.serve import wishes
from haechi.serve.wishes import WishError
from haechi.storm import targets
from haechi.trial.scenario import ReceivedSection, Scenario, load, steps_of

NAME = r"[a-z0-9][a-z0-9._-]{0,59}"
OWN_MAX = 200
SECONDS_MAX = 30 * 86_400.0
TRAIN_LINES_MAX = 5_000_000
NODES_MAX, DEPTH_MAX, SCALAR_MAX = 20_000, 12, 4000
_FILES = {"target": ("bundle", "train_config", "tls_certificate", "tls_key"), "storm": ("tls_ca",)}


class NoScenarioError(KeyError):
    """There is none of that name."""

    def __str__(self) -> str:
        return str(self.args[0])


class ShippedError(Exception):
    """It came with haechi, and is not a client's to change."""


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    shipped: bool
    text: str
    scenario: Scenario


class Shelf:
    """Files, read when they are asked for. Its methods wait for the disk, and may be called from any
    thread."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._own = config.state / "scenarios"
        self._read: dict[Path, tuple[tuple[int, int], Entry]] = {}

    def entries(self) -> list[Entry]:
        """By name. A file of somebody's that is no scenario any more is left out."""
        found = {}
        for shipped, folder in ((False, self._own), (True, shipped_folder())):
            for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
                try:
                    found[path.stem] = self._entry(path, shipped)
                except (WishError, OSError):
                    continue
        return [found[name] for name in sorted(found)]

    def get(self, name: str) -> Entry:
        """NoScenarioError; WishError where its file is no scenario any more."""
        if re.fullmatch(NAME, name):
            for shipped, folder in ((True, shipped_folder()), (False, self._own)):
                path = folder / f"{name}.yaml"
                if path.is_file() and (shipped or not path.is_symlink()):
                    return self._entry(path, shipped)
        raise NoScenarioError(f"there is no scenario {name[:60]!r}")

    def keep(self, name: str, text: str) -> Entry:
        """A client's. WishError where it is none that may be run here; then what was kept before stays."""
        if not re.fullmatch(NAME, name):
            raise WishError(f"{name[:60]!r} is not a name of small letters, digits, dots, - and _")
        self._refuse_shipped(name)
        path = self._own / f"{name}.yaml"
        if not path.exists() and len(list(self._own.glob("*.yaml"))) >= OWN_MAX:
            raise WishError(f"{OWN_MAX} scenarios are kept already; delete one first")
        runnable(read(text), self._config)
        new = path.with_name(f".{name}.{os.getpid()}")
        self._own.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        return self._entry(path, shipped=False)

    def remove(self, name: str) -> None:
        self._refuse_shipped(name)
        path = self._own / f"{name}.yaml"
        if not re.fullmatch(NAME, name) or not path.exists():
            raise NoScenarioError(f"there is no scenario {name[:60]!r}")
        path.unlink()
        self._read.pop(path, None)

    def _refuse_shipped(self, name: str) -> None:
        if (shipped_folder() / f"{name}.yaml").is_file():
            raise ShippedError(f"{name} comes with haechi; keep yours under another name")

    def _entry(self, path: Path, shipped: bool) -> Entry:
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            if status.st_size > self._config.body_bytes:
                raise WishError(f"{path.stem}: is longer than {self._config.body_bytes} bytes (body_bytes)")
            text = path.read_text(encoding="utf-8", errors="replace")
            known = self._read[path] = (stamp, Entry(path.stem, shipped, text, read(text)))
        return known[1]


def shipped_folder() -> Path:
    """In an installed package beside its modules, in a checkout at its top."""
    package = Path(haechi.__file__).resolve().parent
    installed = package / "scenarios"
    return installed if installed.is_dir() else package.parents[1] / "scenarios"


def read(text: str) -> Scenario:
    """WishError with a sentence for each mistake; also for texts that are made to cost much to read."""
    try:
        _refuse_costly(text)
        # A name of the file in memory, for a reader that takes files.
        fd = os.memfd_create("haechi-scenario")
        try:
            os.write(fd, text.encode())
            path = Path(f"/dev/fd/{fd}")
            return _finite(load(path))
        except ConfigError as error:
            raise WishError(str(error).replace(f"{path}: ", "")) from None
        finally:
            os.close(fd)
    except WishError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        # Numbers of too many digits, dates that are none, halves of letters.
        raise WishError(f"it cannot be read: {str(error)[:200]}") from None


def _finite(scenario: Scenario) -> Scenario:
    try:
        json.dumps(scenario.model_dump(mode="json"), allow_nan=False)
    except ValueError:
        raise WishError("a number in it has no end") from None
    return scenario


def _refuse_costly(text: str) -> None:
    """Before anything is built of it: an alias can stand for a million nodes, and depth costs stack."""
    depth = nodes = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            nodes += 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise WishError("anchors and aliases are not taken here; write it out")
            if isinstance(event, yaml.ScalarEvent) and len(event.value) > SCALAR_MAX:
                raise WishError(f"a text in it is longer than {SCALAR_MAX} characters")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_MAX or nodes > NODES_MAX:
                raise WishError(f"it is deeper than {DEPTH_MAX} levels, or has more than {NODES_MAX} nodes")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        problem = getattr(error, "problem", None) or "a character that YAML does not allow"
        raise WishError(f"is not YAML: {problem}{where}") from None


def runnable(
    scenario: Scenario, serve: ServeConfig, scale_time: float = 1.0, scale_rate: float = 1.0
) -> dict[str, Any]:
    """The document that the trial is given, with this server's limits in it. WishError and TargetError where
    a client may not run it here."""
    complaints = list(_complaints(scenario, serve, scale_time))
    if complaints:
        raise WishError("\n".join(complaints))
    document = scenario.model_dump(mode="json", by_alias=True, exclude_unset=True)
    storm, target = document.setdefault("storm", {}), document.setdefault("target", {})
    storm["max_eps"] = min(scenario.storm.max_eps, serve.max_eps)
    if scenario.target.kind == "other":
        target["allow_target"] = scenario.target.address in serve.allow_target
    folders = (serve.state / "files", *serve.read)
    if "profile" in storm:
        storm["profile"] = wishes.profile(storm["profile"], folders)
    for section, keys in _FILES.items():
        for key in keys:
            if document[section].get(key) is not None:
                document[section][key] = str(wishes.readable(document[section][key], folders))
    _check_targets(scenario, storm["max_eps"], serve, scale_time, scale_rate)
    return document


def _complaints(scenario: Scenario, serve: ServeConfig, scale_time: float) -> Iterator[str]:
    target = scenario.target
    if target.allow_target:
        yield "target.allow_target: not a client's to set; it is this server's"
    if target.received is not None and not _is_listed(target.received, serve.trial_counts):
        what = "command" if target.received.command is not None else "url"
        yield (
            f"target.received.{what}: a client may only name one that this server's configuration lists "
            "(trial_counts): it would run, or ask, as this server"
        )
    if target.train_lines > TRAIN_LINES_MAX:
        yield f"target.train_lines: {target.train_lines:,} is more than {TRAIN_LINES_MAX:,}, the most here"
    seconds = sum(step.duration for step in scenario.steps)
    if scenario.search is not None:
        seconds = scenario.search.trial
    if seconds * scale_time > SECONDS_MAX:
        days = seconds * scale_time / 86_400
        yield f"it would take {days:,.0f} days; {SECONDS_MAX / 86_400:.0f} are the most"


def _is_listed(received: ReceivedSection, listed: tuple[str, ...]) -> bool:
    if received.command is not None:
        return any(received.command == tuple(shlex.split(entry)) for entry in listed)
    return received.url in listed


def _check_targets(
    scenario: Scenario, max_eps: float, serve: ServeConfig, scale_time: float, scale_rate: float
) -> None:
    """As for a storm. Ports that are still to be found are loopback's, and above all that are refused."""
    from haechi.config.storm import StormConfig

    highest = max(
        (step.pattern.highest_eps for step in steps_of(scenario, scale_time, scale_rate)), default=1.0
    )
    if scenario.search is not None:
        highest = scenario.search.to_rate * scale_rate
    ports = scenario.target.ports
    settings = {
        "target": (scenario.target.address,),
        "ports": "20000" if ports.endswith("free") else ports,
        "transport": scenario.target.transport,
        "eps": highest,
        "max_eps": max_eps,
        "allow_target": serve.allow_target,
    }
    targets.check(StormConfig.model_validate(settings))
