"""Profiles: what a storm writes, as people write it down (YAML) and as the C core reads it (JSON).

A profile is validated completely here, so that every message can name the file, the line and the key;
the core validates its JSON again, since anyone may hand it some. docs/profiles.md explains every key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

FORMAT = 1
FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock "
    "local0 local1 local2 local3 local4 local5 local6 local7"
).split()
SEVERITIES = "emerg alert crit err warning notice info debug".split()
NUMBER_MAX = 99_999_999
HEAD_BYTES = 48

Place = tuple[str | int, ...]

# LibYAML's parser where PyYAML was built with it: some ten times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ProfileError(ValueError):
    """A profile that cannot be used; str() is one sentence a mistake, a mistake a line."""


Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,30}$")]
ProcessName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,27}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,29}$")]
Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Choice = Annotated[str, Field(min_length=1, max_length=126, pattern=r"^[^\x00-\x1f\x7f]*$")]
Number = Annotated[int, Field(ge=0, le=NUMBER_MAX)]
Severity = Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
Technique = Annotated[str, Field(pattern=r"^T\d{4}(\.\d{3})?$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Hosts(_Model):
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,24}$")]
    count: Annotated[int, Field(ge=1, le=60_000)]


class Pids(_Model):
    first: Annotated[int, Field(ge=1, le=4_000_000)]
    count: Annotated[int, Field(ge=1, le=60_000)]


class Process(_Model):
    facility: str
    pid: bool = True
    msgid: Word = "-"
    structured_data: Annotated[str, Field(pattern=r"^(-|\[[^\x00-\x1f\x7f]*\])$", max_length=200)] = "-"


class Variable(_Model):
    scope: Literal["session", "line"] = "session"
    choice: Annotated[list[Choice], Field(min_length=1, max_length=4096)] | None = None
    range: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    ipv4: Annotated[str, Field(pattern=r"^(\d{1,3}\.){3}\d{1,3}/(8|16|24)$")] | None = None
    random: Literal["hex", "digits", "lower", "base64"] | None = None
    length: Annotated[int, Field(ge=1, le=64)] | None = None

    def bounds(self) -> tuple[int, int]:
        """The least and the greatest number of bytes a value takes."""
        if self.choice is not None:
            sizes = [len(value.encode()) for value in self.choice]
            return min(sizes), max(sizes)
        if self.range is not None:
            return len(str(self.range[0])), len(str(self.range[1]))
        if self.ipv4 is not None:
            octets = self.ipv4.split("/")[0].split(".")[: int(self.ipv4.split("/")[1]) // 8]
            fixed = sum(len(octet) + 1 for octet in octets)
            free = 4 - len(octets)
            return fixed + 2 * free - 1, fixed + 4 * free - 1
        assert self.length is not None
        return self.length, self.length


class Step(_Model):
    severity: Severity = "info"
    text: Text | None = None
    texts: Annotated[list[Text], Field(min_length=1, max_length=64)] | None = None

    def all_texts(self) -> list[str]:
        return self.texts if self.texts is not None else [self.text or ""]


class Flow(_Model):
    name: Name
    process: Word
    for_each: Name | None = None
    share: Annotated[float, Field(gt=0, le=1e6)]
    steps: Annotated[list[Step], Field(min_length=1, max_length=32)]


class Never(_Model):
    process: Word
    severity: Severity = "info"
    technique: Technique | None = None
    text: Text


class Failure(_Model):
    process: Word
    severity: Severity = "info"
    technique: Technique | None = None
    text: Text
    times: Annotated[list[Annotated[int, Field(ge=2, le=200)]], Field(min_length=2, max_length=2)]


class Profile(_Model):
    """A valid profile. Make one with `load`, which checks what types alone cannot."""

    format: Literal[1]
    name: Word
    hosts: Hosts
    pids: Pids
    line_bytes: Annotated[list[Annotated[int, Field(ge=1, le=1250)]], Field(min_length=2, max_length=2)] = (
        Field(default=[1, 1250])
    )
    processes: Annotated[dict[ProcessName, Process], Field(min_length=1, max_length=64)]
    variables: Annotated[dict[Name, Variable], Field(max_length=256)] = Field(default={})
    lists: dict[Name, Annotated[list[Text], Field(min_length=1)]] = Field(default={})
    flows: Annotated[list[Flow], Field(min_length=1)]
    never: Annotated[list[Never], Field(max_length=256)] = Field(default=[])
    failures: Annotated[list[Failure], Field(max_length=256)] = Field(default=[])

    def rules(self) -> list[tuple[str, Sequence[Never | Failure]]]:
        """The anomalies of the profile's own, each kind with its key."""
        return [("never", self.never), ("failures", self.failures)]

    def texts(self) -> list[str]:
        """The distinct message texts of normal traffic, in order of appearance, variables in braces."""
        return list(
            dict.fromkeys(text for flow in _expand(self) for step in flow["steps"] for text in step["texts"])
        )


@dataclass(frozen=True)
class _Source:
    """Where things stand in the file."""

    name: str
    root: yaml.Node | None

    def fail(self, place: Place, sentence: str) -> str:
        return f"{self.name}:{self._line(place)}: {_key(place)}: {sentence}"

    def _line(self, place: Place) -> int:
        node = self.root
        line = node.start_mark.line if node else 0
        for part in place:
            if isinstance(node, yaml.MappingNode):
                found = [(k, v) for k, v in node.value if k.value == str(part)]
                if not found:
                    break
                line, node = found[0][0].start_mark.line, found[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return line + 1


def _key(place: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.lstrip(".") or "profile"


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


def load(profile: str | Path) -> Profile:
    """Reads and validates a profile. Raises ProfileError with every mistake, each with file, line, key."""
    path = find(profile)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: cannot be read as text: {error}") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Profile:
    """As load, from the text itself; name stands for the file in messages."""
    try:
        loader = _LOADER(text)
        root = loader.get_single_node()
        data = loader.construct_document(root) if root else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ProfileError(f"{name}:{line}: not YAML: {getattr(error, 'problem', error)}") from error
    except RecursionError as error:
        raise ProfileError(f"{name}:1: not YAML: nested too deeply") from error
    source = _Source(name, root)
    try:
        profile = Profile.model_validate(data)
    except ValidationError as error:
        raise ProfileError("\n".join(_sentence(source, e) for e in error.errors())) from error
    mistakes = [source.fail(place, sentence) for place, sentence in _check(profile)]
    if mistakes:
        raise ProfileError("\n".join(mistakes))
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
    anomalies: dict[str, list[dict[str, Any]]] = {
        key: [
            {**rule.model_dump(exclude_none=True), "severity": SEVERITIES.index(rule.severity)}
            for rule in rules
        ]
        for key, rules in profile.rules()
    }
    return json.dumps(
        {
            "format": FORMAT,
            "name": profile.name,
            "hosts": profile.hosts.model_dump(),
            "pids": profile.pids.model_dump(),
            "processes": processes,
            "variables": variables,
            "flows": _expand(profile),
            **anomalies,
        },
        ensure_ascii=False,
        indent=1,
    )


def _sentence(source: _Source, error: Any) -> str:
    place: Place = tuple(part for part in error["loc"] if part != "[key]")
    value = error["input"]
    shown = "" if isinstance(value, dict | list) else f" (it is {value!r:.80})"
    wanted = {"extra_forbidden": "is no key that is known here", "missing": "is missing"}
    sentence = wanted.get(error["type"]) or error["msg"][0].lower() + error["msg"][1:] + shown
    return source.fail(place, sentence)


def _expand(profile: Profile) -> list[dict[str, Any]]:
    """The flows, one for every value where for_each names a list; the copies share the share."""
    flows: list[dict[str, Any]] = []
    for flow in profile.flows:
        values: list[str | None] = [None]
        if flow.for_each is not None:
            values = list(profile.lists.get(flow.for_each, []))
        for value in values:
            mark = f"{{{flow.for_each}}}"
            steps = [
                {
                    "severity": SEVERITIES.index(step.severity),
                    "texts": [t if value is None else t.replace(mark, value) for t in step.all_texts()],
                }
                for step in flow.steps
            ]
            flows.append(
                {
                    "name": flow.name,
                    "process": flow.process,
                    "share": flow.share / len(values),
                    "steps": steps,
                }
            )
    return flows


def _check(profile: Profile) -> list[tuple[Place, str]]:
    """What is wrong across keys: (place, sentence) each."""
    wrong: list[tuple[Place, str]] = []
    for name, process in profile.processes.items():
        last_pid = profile.pids.first + profile.pids.count
        head = f"{profile.hosts.prefix}{profile.hosts.count:02d} {name}[{last_pid}]: "
        if len(head) > HEAD_BYTES:
            wrong.append(
                (
                    ("processes", name),
                    f"host, process and pid can take {len(head)} bytes, at most {HEAD_BYTES}",
                )
            )
        if process.facility not in FACILITIES:
            wrong.append(
                (("processes", name, "facility"), f"{process.facility!r} is none of {', '.join(FACILITIES)}")
            )
    for name, variable in profile.variables.items():
        wrong += [(("variables", name), sentence) for sentence in _check_variable(variable)]
    if wrong:
        return wrong
    for i, flow in enumerate(profile.flows):
        wrong += _check_flow(profile, flow, ("flows", i))
    for key, rules in profile.rules():
        for i, rule in enumerate(rules):
            place: Place = (key, i)
            if rule.process not in profile.processes:
                wrong.append(((*place, "process"), _unknown_process(profile, rule.process)))
            else:
                wrong += [((*place, "text"), s) for s in _check_text(profile, rule.process, rule.text)]
    normal = set(profile.texts())
    for i, never in enumerate(profile.never):
        if never.text in normal:
            wrong.append((("never", i, "text"), "a normal flow says the same"))
    for i, failure in enumerate(profile.failures):
        if failure.text not in normal:
            wrong.append((("failures", i, "text"), "no normal flow says it; it has to be one of their texts"))
        if failure.times[0] > failure.times[1]:
            wrong.append((("failures", i, "times"), f"{failure.times[0]} is above {failure.times[1]}"))
    return wrong


def _unknown_process(profile: Profile, name: str) -> str:
    return f"{name!r} is none of the processes {', '.join(profile.processes)}"


def _check_variable(variable: Variable) -> list[str]:
    kinds = [k for k in ("choice", "range", "ipv4", "random") if getattr(variable, k) is not None]
    if len(kinds) != 1:
        return [f"has {' and '.join(kinds) or 'none'} of choice, range, ipv4, random; exactly one is needed"]
    if variable.range is not None and variable.range[0] > variable.range[1]:
        return [f"range: {variable.range[0]} is above {variable.range[1]}"]
    if variable.ipv4 is not None and any(int(o) > 255 for o in variable.ipv4.split("/")[0].split(".")):
        return [f"ipv4: {variable.ipv4} is no address"]
    if (variable.random is None) != (variable.length is None):
        return ["length and random need each other"]
    return []


def _check_flow(profile: Profile, flow: Flow, place: Place) -> list[tuple[Place, str]]:
    if flow.process not in profile.processes:
        return [((*place, "process"), _unknown_process(profile, flow.process))]
    if flow.for_each is not None and flow.for_each not in profile.lists:
        return [((*place, "for_each"), f"{flow.for_each!r} is none of the lists {', '.join(profile.lists)}")]
    wrong: list[tuple[Place, str]] = []
    for i, step in enumerate(flow.steps):
        at: Place = (*place, "steps", i)
        if (step.text is None) == (step.texts is None):
            wrong.append((at, "needs either text or texts"))
            continue
        for k, text in enumerate(step.all_texts()):
            key: Place = (*at, "text") if step.texts is None else (*at, "texts", k)
            values = profile.lists[flow.for_each] if flow.for_each else [""]
            mistakes = [
                mistake
                for value in values
                for mistake in _check_text(profile, flow.process, text.replace(f"{{{flow.for_each}}}", value))
            ]
            wrong += [(key, mistake) for mistake in mistakes[:1]]
    return wrong


def _check_text(profile: Profile, process: str, text: str) -> list[str]:
    """Unknown variables, stray braces, and lines shorter or longer than line_bytes allows."""
    plain = text.replace("{{", "").replace("}}", "")
    names = re.findall(r"\{([^{}]*)\}", plain)
    unknown = [name for name in names if name not in profile.variables]
    if unknown:
        return [f"{{{unknown[0]}}} is none of the variables {', '.join(profile.variables)}"]
    if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", plain)):
        return ["a brace that stands for itself is written twice"]
    rest = len(re.sub(r"\{[^{}]*\}", "", text.replace("{{", "(").replace("}}", ")")).encode())
    bounds = [profile.variables[name].bounds() for name in names]
    shortest, longest = _head_bounds(profile, process)
    shortest += rest + sum(low for low, _ in bounds)
    longest += rest + sum(high for _, high in bounds)
    low, high = profile.line_bytes
    # The newline counts for the longest, so that both readings of a line's length are met.
    if shortest < low or longest + 1 > high:
        return [f"its iso lines take {shortest} to {longest + 1} bytes, line_bytes allows {low} to {high}"]
    return []


def _head_bounds(profile: Profile, process: str) -> tuple[int, int]:
    """Bytes before the message in the iso form: <PRI>TIME HOST PROCESS[PID]: ."""
    hosts, pids, facility = profile.hosts, profile.pids, FACILITIES.index(profile.processes[process].facility)
    fixed = len("2025-08-30T10:15:30.123Z ") + len(hosts.prefix) + len(f" {process}: ")
    has_pid = profile.processes[process].pid
    low = fixed + len(f"<{facility * 8}>") + 2
    high = fixed + len(f"<{facility * 8 + 7}>") + max(2, len(str(hosts.count)))
    if has_pid:
        low += len(f"[{pids.first}]")
        high += len(f"[{pids.first + pids.count - 1}]")
    return low, high
