"""Profiles: what a storm writes, as people write it down (YAML) and as the C core reads it (JSON).

A profile is validated completely here, so that every message can name the file, the line and the key;
the core validates its JSON again, since anyone may hand it some. docs/profiles.md explains every key.
"""

from __future__ import annotations

import itertools
import json
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from haechi.storm.check import Mistakes, check
from haechi.storm.document import Place, ProfileError, Source, read_text, read_values, read_yaml
from haechi.storm.model import FACILITIES, Profile, Rule, rule_severity

__all__ = [
    "FACILITIES",
    "FORMAT",
    "PROFILE_BYTES",
    "Profile",
    "ProfileError",
    "find",
    "load",
    "parse",
    "render",
    "shipped",
]

FORMAT = 1
PROFILE_BYTES = 8 << 20


def find(profile: str | Path) -> Path:
    """The file of a profile: a path to a YAML file, or the name of a profile that comes with haechi.

    Raises ProfileError where there is neither, naming those that there are.
    """
    path = Path(profile)
    if path.is_file():
        return path
    folder = Path(str(resources.files("haechi") / "profiles"))
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if str(profile) in known:
        return folder / f"{profile}.yaml"
    raise ProfileError(f"{profile}: neither a file nor one of the profiles {', '.join(known)}")


def shipped() -> list[tuple[str, str]]:
    """The profiles that come with haechi, by name, each with what its file says first of itself."""
    found = []
    for file in sorted(Path(str(resources.files("haechi") / "profiles")).glob("*.yaml")):
        words = itertools.takewhile(lambda line: line.startswith("# "), file.read_text("utf-8").splitlines())
        sentence = " ".join(line.removeprefix("# ") for line in words).partition(". ")[0]
        found.append((file.stem, sentence.rstrip(".") + "."))
    return found


def load(profile: str | Path) -> Profile:
    """Reads and validates a profile. Raises ProfileError with every mistake, each with file, line, key."""
    path = find(profile)
    return parse(read_text(path, PROFILE_BYTES), str(path), path.parent)


def parse(text: str, name: str, folder: Path = Path()) -> Profile:
    """As load, from the text itself: name stands for the file in messages, folder is where its files lie."""
    source = read_yaml(text, name)
    doubles = source.doubles()
    if doubles:
        raise ProfileError("\n".join(doubles))
    try:
        profile = Profile.model_validate(source.data)
    except ValidationError as error:
        raise ProfileError("\n".join(_sentence(source, e) for e in error.errors())) from error
    profile, mistakes = _with_choices(profile, folder)
    mistakes = mistakes or check(profile)
    if mistakes:
        raise ProfileError("\n".join(source.fail(place, sentence) for place, sentence in mistakes))
    return profile


def render(profile: Profile) -> str:
    """The JSON text that `haechi-storm --profile` reads. The same profile gives the same bytes."""
    variables = [
        {"name": name, **variable.model_dump(exclude_none=True)}
        for name, variable in profile.variables.items()
    ]
    processes = [
        {"name": name, **process.model_dump(), "facility": FACILITIES.index(process.facility)}
        for name, process in profile.processes.items()
    ]
    normal = profile.severities()
    anomalies = {key: [_rendered(rule, normal) for rule in rules] for key, rules in profile.rules()}
    return json.dumps(
        {
            "format": FORMAT,
            "name": profile.name,
            "hosts": profile.hosts.model_dump(),
            "pids": profile.pids.model_dump(),
            "processes": processes,
            "variables": variables,
            "flows": profile.expand(),
            **anomalies,
        },
        ensure_ascii=False,
        indent=1,
    )


def _rendered(rule: Rule, normal: dict[tuple[str, str], int]) -> dict[str, Any]:
    return {**rule.model_dump(exclude_none=True), "severity": rule_severity(rule, normal)}


def _with_choices(profile: Profile, folder: Path) -> tuple[Profile, Mistakes]:
    """The profile with the contents of its files in place of their names."""
    variables, mistakes = dict(profile.variables), Mistakes()
    for name, variable in profile.variables.items():
        # One that has a second kind of values as well is refused by the checks.
        if variable.choice_file is None or len(variable.kinds()) > 1:
            continue
        try:
            values = read_values(folder, variable.choice_file)
        except ProfileError as error:
            mistakes.append((("variables", name, "choice_file"), str(error)))
            continue
        variables[name] = variable.model_copy(update={"choice": values, "choice_file": None})
    return profile.model_copy(update={"variables": variables}), mistakes


def _sentence(source: Source, error: Any) -> str:
    place: Place = tuple(part for part in error["loc"] if part != "[key]")
    value = error["input"]
    shown = "" if isinstance(value, dict | list) else f" (it is {value!r:.80})"
    wanted = {"extra_forbidden": "is no key that is known here", "missing": "is missing"}
    sentence = wanted.get(error["type"]) or error["msg"][0].lower() + error["msg"][1:] + shown
    return source.fail(place, sentence)
