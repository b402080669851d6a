"""A trial as it is written down: where to, how fast and for how long, and what has to be met. docs/trials.md
explains every key."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from haechi.config.load import load_yaml
from haechi.config.storm import KINDS, StormConfig
from haechi.config.values import Count, Processors, Quantity, Seconds, Texts, read_ports
from haechi.trial.criteria import NAMES, RECOVERS, Criterion, parse
from haechi.trial.patterns import LEAST_EPS, Burst, Pattern, Ramp, Schedule, Sine, Steady

T = TypeVar("T")

FREE = re.compile(r"(\d{1,3}) free")
PORTS_MAX = 100
TRAIN_LINES = 200_000

# What nobody but a haechi sink tells second by second, and what only one that keeps account tells at all.
_OF_ACCOUNT = {"received", "lost", "loss_ratio", "received_eps", "uptime_ratio", "recovery"}
_LATENCIES = {name for name in NAMES if name.startswith("latency_")}
_SCORES = {"precision", "recall", "f1"}
_RATES = {"ndr_eps", "pdr_eps"}


def _ports(value: Any) -> Any:
    if (match := FREE.fullmatch(str(value))) is None:
        return value
    if not 1 <= int(match[1]) <= PORTS_MAX:
        raise ValueError(f"{value!r} is not from 1 to {PORTS_MAX} free ports")
    return str(value)


def _place(value: Any) -> str:
    text = str(_ports(value))
    if FREE.fullmatch(text):
        return text
    count = len(read_ports(text))
    if count > PORTS_MAX:
        raise ValueError(f"{count} are too many; a trial has at most {PORTS_MAX}")
    return text


def _criterion_text(value: Any) -> Any:
    """`recovers_within: 30s` is a group of one key to YAML."""
    if isinstance(value, dict) and list(value) == [RECOVERS]:
        return f"{RECOVERS}: {value[RECOVERS]}"
    return value


def _checked(value: Any) -> Any:
    text = _criterion_text(value)
    if isinstance(text, str):
        parse(text)
    return text


def _ratio(value: Any) -> Any:
    """0.005, or 0.5 %."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", value) if isinstance(value, str) else None
    return value if match is None else float(match[1]) / 100


Ratio = Annotated[float, BeforeValidator(_ratio)]
TrialPorts = Annotated[str, BeforeValidator(_place)]
CriterionText = Annotated[str, BeforeValidator(_checked)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReceivedSection(_Section):
    """How somebody else's receiver is asked how many messages it has."""

    command: tuple[str, ...] | None = None
    url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    json_path: str | None = Field(default=None, alias="json", min_length=1)
    pattern: str | None = Field(default=None, min_length=1)
    settle: Seconds = 10.0

    @field_validator("command", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return tuple(shlex.split(value)) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("either command or url is needed: how the receiver is asked for its count")
        if self.command is not None and not self.command:
            raise ValueError("command: is empty")
        if self.json_path is not None and self.pattern is not None:
            raise ValueError("json and pattern exclude each other: the count is read in one way")
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groups
            except re.error as error:
                raise ValueError(f"pattern: {self.pattern!r} is no regular expression: {error}") from None
            if groups != 1:
                raise ValueError(f"pattern: {self.pattern!r} has {groups} groups; one is needed: the count")
        return self


class TargetSection(_Section):
    """Who receives: a sink or a detector that the trial starts and ends, or a receiver that is there."""

    kind: Literal["sink", "detect", "other"] = "sink"
    address: str = Field(default="127.0.0.1", min_length=1)
    ports: TrialPorts = "40 free"
    transport: Literal["udp", "tcp", "tls"] = "udp"
    workers: int | None = Field(default=None, ge=1, le=64)
    buffer_bytes: int = Field(default=0, ge=0, le=1 << 30)
    plain: bool = False
    max_eps: Quantity | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    bundle: Path | None = None
    train_lines: Count = Field(default=TRAIN_LINES, ge=1000, le=100_000_000)
    train_config: Path | None = None
    ignore_kinds: Texts = ()
    received: ReceivedSection | None = None
    allow_target: bool = False

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        only = {
            "sink": {"max_eps"},
            "detect": {"bundle", "train_lines", "train_config", "ignore_kinds"},
            "other": {"received", "allow_target"},
        }
        if self.kind == "other" and self.received is None:
            raise ValueError("received is needed: how the receiver is asked for its count")
        if self.kind == "other" and FREE.fullmatch(self.ports):
            raise ValueError("ports are needed: where the receiver listens")
        for kind, keys in only.items():
            for key in sorted(keys & self.model_fields_set):
                if kind != self.kind:
                    raise ValueError(f"{key} is of kind {kind}, not {self.kind}")
        if self.bundle is not None and {"train_lines", "train_config"} & self.model_fields_set:
            raise ValueError("bundle and train_... exclude each other: it is there, or trained for the trial")
        own = self.kind != "other"
        if self.transport == "tls" and own and (self.tls_certificate is None or self.tls_key is None):
            raise ValueError("transport: tls needs tls_certificate and tls_key, the receiver's own")
        unknown = [kind for kind in self.ignore_kinds if kind not in KINDS]
        if unknown:
            raise ValueError(f"ignore_kinds: {', '.join(unknown)} is none of {', '.join(KINDS)}")
        return self


class StormSection(_Section):
    """What is sent; each as in configs/storm.yaml."""

    profile: str = Field(default="system", min_length=1)
    form: Literal["iso", "rfc3164", "rfc5424"] = "iso"
    seed: int = Field(default=1, ge=0, le=2**64 - 1)
    sessions: int = Field(default=0, ge=0, le=10_000_000)
    workers: int = Field(default=0, ge=0, le=256)
    groups: int = Field(default=0, ge=0, le=256)
    pin: Processors = ()
    burst_us: int = Field(default=850, ge=50, le=1_000_000)
    gso: bool = True
    framing: Literal["octets", "newline"] = "octets"
    max_eps: Quantity = 20_000_000.0
    anomaly_rate: float = Field(default=0.0, ge=0, le=1)
    anomaly_kinds: Texts = ("sessions",)
    disturbance_events: int = Field(default=0, ge=0)
    tls_ca: Path | None = None
    tls_server_name: str | None = Field(default=None, min_length=1)
    tls_insecure: bool = False

    @model_validator(mode="after")
    def _knows_the_kinds(self) -> Self:
        return _with_known_kinds(self, self.anomaly_kinds)


class AnomaliesSection(_Section):
    """What one step has instead of the storm's own anomalies."""

    rate: float = Field(default=0.0, ge=0, le=1)
    kinds: Texts = ("sessions",)
    disturbance_events: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _knows_the_kinds(self) -> Self:
        return _with_known_kinds(self, self.kinds)


def _with_known_kinds(section: T, kinds: tuple[str, ...]) -> T:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ValueError(f"{', '.join(unknown) or 'nothing'} is none of the kinds {', '.join(KINDS)}")
    return section


_NEEDED: dict[str, tuple[str, ...]] = {
    "steady": ("rate",),
    "ramp": ("from", "to"),
    "burst": ("rate", "peak", "period", "width"),
    "sine": ("rate", "amplitude", "period"),
}


class StepSection(_Section):
    """A stretch of time with a rate, and what has to be met within it."""

    name: str = Field(default="", max_length=60)
    duration: Seconds
    pattern: Literal["steady", "ramp", "burst", "sine"] = "steady"
    rate: Quantity | None = None
    from_rate: Quantity | None = Field(default=None, alias="from")
    to_rate: Quantity | None = Field(default=None, alias="to")
    peak: Quantity | None = None
    amplitude: Quantity | None = None
    period: Seconds | None = None
    width: Seconds | None = None
    anomalies: AnomaliesSection | None = None
    criteria: tuple[CriterionText, ...] = ()

    @model_validator(mode="after")
    def _fits_its_pattern(self) -> Self:
        keys = {"from": self.from_rate, "to": self.to_rate}
        keys |= {key: getattr(self, key) for key in ("rate", "peak", "amplitude", "period", "width")}
        for key, value in keys.items():
            if key in _NEEDED[self.pattern] and not value:
                raise ValueError(f"pattern {self.pattern} needs {', '.join(_NEEDED[self.pattern])}")
            if key not in _NEEDED[self.pattern] and value is not None:
                raise ValueError(f"{key} is of no use with pattern {self.pattern}")
        if self.duration <= 0:
            raise ValueError("duration: 0 is not above 0")
        if self.width is not None and self.period is not None and self.width >= self.period:
            raise ValueError(f"width: {self.width:g} s is not below the period, {self.period:g} s")
        lowest = min(rate for rate in (self.rate, self.from_rate, self.to_rate) if rate is not None)
        if lowest - (self.amplitude or 0) < LEAST_EPS:
            raise ValueError("the rate falls below 1 event a second, the least that a storm can be told")
        return self

    def shape(self, scale_time: float, scale_rate: float) -> Pattern:
        """Its pattern with times and rates multiplied; no rate falls below the least there is."""

        def eps(rate: float | None) -> float:
            return max(LEAST_EPS, (rate or 0) * scale_rate)

        def seconds(time: float | None) -> float:
            return (time or 0) * scale_time

        match self.pattern:
            case "ramp":
                return Ramp(eps(self.from_rate), eps(self.to_rate), seconds(self.duration))
            case "burst":
                return Burst(eps(self.rate), eps(self.peak), seconds(self.period), seconds(self.width))
            case "sine":
                amplitude = min((self.amplitude or 0) * scale_rate, eps(self.rate) - LEAST_EPS)
                return Sine(eps(self.rate), amplitude, seconds(self.period))
        return Steady(eps(self.rate))


class SearchSection(_Section):
    """RFC 2544's throughput test: the highest rate that a trial of this length survives."""

    from_rate: Quantity = Field(default=10_000.0, alias="from")
    to_rate: Quantity = Field(alias="to")
    trial: Seconds = 60.0
    repeats: int = Field(default=1, ge=1, le=1000)
    resolution: float = Field(default=0.02, gt=0, lt=1)
    partial_loss: Ratio = Field(default=0.005, gt=0, lt=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    rate_error: float = Field(default=0.01, gt=0, lt=1)

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.from_rate >= self.to_rate:
            raise ValueError(f"from: {self.from_rate:,.0f} is not below to, {self.to_rate:,.0f}")
        if self.trial <= 0:
            raise ValueError("trial: 0 is not above 0")
        return self


class Scenario(_Section):
    """scenarios/*.yaml as a whole. Frozen: what was validated is what is run."""

    name: str = Field(min_length=1, max_length=80)
    description: str = Field(default="", max_length=2000)
    target: TargetSection = TargetSection()
    storm: StormSection = StormSection()
    steps: tuple[StepSection, ...] = Field(default=(), max_length=1000)
    search: SearchSection | None = None
    criteria: tuple[CriterionText, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if bool(self.steps) == (self.search is not None):
            raise ValueError("either steps or search is needed: rates to run, or a rate to find")
        if self.search is not None and self.target.kind == "other":
            raise ValueError("search needs a target that keeps account: sink or detect")
        self._try_storm()
        for text in self.criteria:
            self._refuse_unknowable(text, of_step=False)
        for step in self.steps:
            for text in step.criteria:
                self._refuse_unknowable(text, of_step=True)
        return self

    def _try_storm(self) -> None:
        """What a storm's settings say of each other is checked where those of a storm are."""
        ours = self.storm.model_dump(exclude={"anomaly_kinds"})
        place = {"target": "127.0.0.1", "ports": "45514", "transport": self.target.transport}
        try:
            StormConfig.model_validate({**ours, **place, "anomaly_kinds": self.storm.anomaly_kinds})
        except ValidationError as error:
            raise ValueError("; ".join(f"storm: {each['msg']}" for each in error.errors())) from None

    def _refuse_unknowable(self, text: str, of_step: bool) -> None:
        """A criterion on what this trial can never know would be missed for ever."""
        name, kind = parse(text).name, self.target.kind
        why = None
        if of_step and not NAMES[name].of_step:
            why = "is known of the whole trial only"
        elif name in _SCORES and kind != "detect":
            why = "is known with target.kind: detect only"
        elif name in _RATES and self.search is None:
            why = "is known of a search only"
        elif self.search is not None and name not in _RATES:
            why = f"is not known of a search; {' and '.join(sorted(_RATES))} are"
        elif name in _LATENCIES and (kind == "other" or (kind == "detect" and of_step)):
            why = "is known with target.kind: sink only" + (", or of the whole" if kind == "detect" else "")
        elif kind == "other" and name in _OF_ACCOUNT and (of_step or name in ("uptime_ratio", "recovery")):
            why = "is not known second by second of somebody else's receiver; of the whole, loss_ratio is"
        elif kind == "other" and name in ("target_cores", "target_memory"):
            why = "is not known of somebody else's receiver"
        if why:
            raise ValueError(f"criteria: {text}: {name} {why}")


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it is run."""

    name: str
    words: str
    duration: float
    pattern: Pattern
    anomalies: AnomaliesSection
    criteria: tuple[Criterion, ...]


def load(path: Path) -> Scenario:
    """ConfigError with file, line and key where it is no scenario."""
    return load_yaml(path, Scenario)


def steps_of(scenario: Scenario, scale_time: float = 1.0, scale_rate: float = 1.0) -> tuple[Step, ...]:
    """The steps with their times and rates multiplied; a time bound of a criterion stays as it is."""
    storm = scenario.storm
    own = AnomaliesSection(
        rate=storm.anomaly_rate, kinds=storm.anomaly_kinds, disturbance_events=storm.disturbance_events
    )
    shapes = [step.shape(scale_time, scale_rate) for step in scenario.steps]
    return tuple(
        Step(
            name=step.name or f"step {number}",
            words=shape.words(),
            duration=step.duration * scale_time,
            pattern=shape,
            anomalies=step.anomalies or own,
            criteria=tuple(parse(text) for text in step.criteria),
        )
        for number, (step, shape) in enumerate(zip(scenario.steps, shapes, strict=True), 1)
    )


def stretches(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """Steps in a row with the same anomalies, which one storm can send."""
    found: list[tuple[Step, ...]] = []
    for step in steps:
        if found and found[-1][0].anomalies == step.anomalies:
            found[-1] = (*found[-1], step)
        else:
            found.append((step,))
    return found


def schedule_of(steps: tuple[Step, ...]) -> Schedule:
    return Schedule([(step.duration, step.pattern) for step in steps])
