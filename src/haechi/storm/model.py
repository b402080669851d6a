"""What a profile consists of once it has been read: types and bounds of each key, and what follows."""

from __future__ import annotations

import string
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock "
    "local0 local1 local2 local3 local4 local5 local6 local7"
).split()
SEVERITIES = "emerg alert crit err warning notice info debug".split()
NUMBER_MAX = 99_999_999
FLOWS_MAX = 4096
TEXTS_MAX = 4096
KINDS = ("choice", "choice_file", "range", "ipv4", "random")
ALPHABETS = {
    "hex": "0123456789abcdef",
    "digits": string.digits,
    "lower": string.ascii_lowercase,
    "base64": string.ascii_letters + string.digits + "+/",
}

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,30}$")]
ProcessName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,27}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,29}$")]
Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Choice = Annotated[str, Field(min_length=1, max_length=126, pattern=r"^[^\x00-\x1f\x7f]*$")]
Choices = Annotated[list[Choice], Field(min_length=1, max_length=4096)]
Number = Annotated[int, Field(ge=0, le=NUMBER_MAX)]
Range = Annotated[list[Number], Field(min_length=2, max_length=2)]
Severity = Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
Technique = Annotated[str, Field(pattern=r"^T[0-9]{4}(\.[0-9]{3})?$")]


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
    choice: Choices | None = None
    choice_file: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    range: Range | None = None
    ipv4: Annotated[str, Field(pattern=r"^([0-9]{1,3}\.){3}[0-9]{1,3}/(8|16|24)$")] | None = None
    random: Literal["hex", "digits", "lower", "base64"] | None = None
    length: Annotated[int, Field(ge=1, le=64)] | None = None

    def kinds(self) -> list[str]:
        """Which of the kinds of values it has; exactly one, in a valid profile."""
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    def bounds(self) -> tuple[int, int]:
        """The least and the greatest number of bytes a value takes."""
        if self.choice is not None:
            return _choice_bounds(self.choice)
        if self.range is not None:
            return len(str(self.range[0])), len(str(self.range[1]))
        if self.ipv4 is not None:
            octets = self.ipv4.split("/")[0].split(".")[: int(self.ipv4.split("/")[1]) // 8]
            fixed = sum(len(str(int(octet))) + 1 for octet in octets)
            free = 4 - len(octets)
            return fixed + 2 * free - 1, fixed + 4 * free - 1
        assert self.length is not None
        return self.length, self.length

    def pieces(self) -> int:
        """How many parts the core writes a value in."""
        if self.ipv4 is not None:
            return 4 - int(self.ipv4.split("/")[1]) // 8
        if self.length is not None:
            return max(min(2, self.length), -(-self.length // 31))
        return 1

    def may_be(self, value: str) -> bool:
        """Whether normal traffic can have this value."""
        if self.choice is not None:
            return value in self.choice
        if self.range is not None:
            return value.isascii() and value.isdigit() and self.range[0] <= int(value) <= self.range[1]
        if self.ipv4 is not None:
            try:
                return IPv4Address(value) in IPv4Network(self.ipv4, strict=False)
            except ValueError:
                return False
        return len(value) == self.length and set(value) <= set(ALPHABETS[self.random or "hex"])

    def may_be_of(self, low: int, high: int) -> bool:
        """Whether normal traffic can have one of these numbers."""
        if self.choice is not None:
            numbers = [int(v) for v in self.choice if v.isascii() and v.isdigit()]
            return any(low <= number <= high for number in numbers)
        if self.range is not None:
            return low <= self.range[1] and self.range[0] <= high
        if self.ipv4 is not None or self.random == "lower":
            return False
        return len(str(low)) <= (self.length or 0) <= len(str(high))


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


class Rule(_Model):
    """An anomaly of the profile's own. severity None: that of the normal text, else info."""

    process: Word
    severity: Severity | None = None
    technique: Technique | None = None
    text: Text


class Never(Rule):
    pass


class Failure(Rule):
    times: Annotated[list[Annotated[int, Field(ge=2, le=200)]], Field(min_length=2, max_length=2)]


class Value(Rule):
    variable: Name
    range: Range | None = None
    choice: Choices | None = None

    def bounds(self) -> tuple[int, int]:
        """The least and the greatest number of bytes of its values."""
        if self.choice is not None:
            return _choice_bounds(self.choice)
        assert self.range is not None
        return len(str(self.range[0])), len(str(self.range[1]))


class Burst(Rule):
    times: Annotated[list[Annotated[int, Field(ge=2, le=2000)]], Field(min_length=2, max_length=2)]


class Profile(_Model):
    """A valid profile. Make one with `profile.load`, which checks what types alone cannot."""

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
    flows: Annotated[list[Flow], Field(min_length=1, max_length=FLOWS_MAX)]
    never: Annotated[list[Never], Field(max_length=256)] = Field(default=[])
    failures: Annotated[list[Failure], Field(max_length=256)] = Field(default=[])
    values: Annotated[list[Value], Field(max_length=256)] = Field(default=[])
    bursts: Annotated[list[Burst], Field(max_length=256)] = Field(default=[])

    def rules(self) -> list[tuple[str, Sequence[Rule]]]:
        """The anomalies of the profile's own, each kind with its key."""
        return [
            ("never", self.never),
            ("failures", self.failures),
            ("values", self.values),
            ("bursts", self.bursts),
        ]

    def texts(self) -> list[str]:
        """The distinct message texts of normal traffic, in order of appearance, variables in braces."""
        return list(
            dict.fromkeys(text for flow in self.expand() for step in flow["steps"] for text in step["texts"])
        )

    def severities(self) -> dict[tuple[str, str], int]:
        """The severity of every text of normal traffic, by process and text."""
        return {
            (flow["process"], text): step["severity"]
            for flow in self.expand()
            for step in flow["steps"]
            for text in step["texts"]
        }

    def expand(self) -> list[dict[str, Any]]:
        """The flows, one for every value where for_each names a list; the copies share the share."""
        flows: list[dict[str, Any]] = []
        for flow in self.flows:
            values: list[str | None] = [None]
            if flow.for_each is not None:
                values = list(self.lists.get(flow.for_each, []))
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


def rule_severity(rule: Rule, normal: dict[tuple[str, str], int]) -> int:
    """The number of a rule's severity; normal is Profile.severities()."""
    if rule.severity is not None:
        return SEVERITIES.index(rule.severity)
    return normal.get((rule.process, rule.text), SEVERITIES.index("info"))


def _choice_bounds(values: list[str]) -> tuple[int, int]:
    sizes = [len(value.encode()) for value in values]
    return min(sizes), max(sizes)
