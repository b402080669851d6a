"""What a user may set for training; configs/training.yaml explains every key."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

HeaderField = Literal["host", "process", "pid", "thread"]
SessionBy = Literal["fields", "value", "time", "all"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SessionConfig(_Section):
    """Which lines belong together."""

    by: Literal["auto", "fields", "value", "time", "all"] = "auto"
    fields: tuple[HeaderField, ...] = ()
    prefix: str = Field(default="", max_length=31, pattern=r"^[A-Za-z0-9_-]*$")
    seconds: int = Field(default=300, ge=1, le=31_536_000)
    idle_s: Literal["auto"] | int | float = "auto"
    max_open: int = Field(default=131_072, ge=1, le=100_000_000)

    @model_validator(mode="after")
    def _rule_is_complete(self) -> Self:
        if self.by == "fields" and not self.fields:
            raise ValueError('by "fields" needs fields: some of host, process, pid, thread')
        if self.by == "value" and not self.prefix:
            raise ValueError('by "value" needs a prefix, such as blk_')
        if self.idle_s != "auto" and not 0.01 <= self.idle_s <= 86_400:
            raise ValueError(f'idle_s {self.idle_s} is not "auto" or a number of seconds from 0.01 to 86400')
        return self


class WindowConfig(_Section):
    """What the model sees before the event it judges."""

    size: int = Field(default=10, ge=2, le=64)


class MinerConfig(_Section):
    """Bounds of the template miner."""

    max_templates: int = Field(default=8192, ge=1, le=65_000)
    max_tokens: int = Field(default=256, ge=8, le=1024)


class ModelConfig(_Section):
    """The network's shape."""

    embedding: int = Field(default=32, ge=1, le=1024)
    hidden: int = Field(default=64, ge=1, le=1024)
    layers: int = Field(default=2, ge=1, le=4)
    dropout: float = Field(default=0.2, ge=0, lt=1)


class FitConfig(_Section):
    """How the network is fitted."""

    seed: int = Field(default=1, ge=0, lt=2**31)
    epochs: int = Field(default=20, ge=1, le=10_000)
    min_steps: int = Field(default=600, ge=1)
    max_steps: int = Field(default=6_000, ge=1)
    excess: float = Field(default=0.25, gt=0, le=10)
    batch: int = Field(default=64, ge=1, le=65_536)
    learning_rate: float = Field(default=0.01, gt=0, le=1)
    weight_power: float = Field(default=0.3, ge=0, le=1)
    unseen_ratio: float = Field(default=0.01, ge=0, lt=1)
    threads: int = Field(default=2, ge=1, le=256)
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.min_steps > self.max_steps:
            raise ValueError(f"min_steps {self.min_steps} is more than max_steps {self.max_steps}")
        return self


class ThresholdConfig(_Section):
    """When to raise an alert."""

    rule: Literal["likelihood", "topk"] = "likelihood"
    budget: float = Field(default=0.005, gt=0, lt=1)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    top_k: int = Field(default=9, ge=1, le=65_000)
    unseen_surprise: float = Field(default=20.0, gt=0, le=1000)
    least_surprise: float = Field(default=3.0, ge=0, le=1000)
    folds: int = Field(default=3, ge=2, le=20)


class EnsembleConfig(_Section):
    """Detectors of sessions that judge together."""

    enabled: bool = True
    budget: float = Field(default=0.001, gt=0, lt=1)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    detectors: tuple[Literal["counts"], ...] = ("counts",)
    max_vectors: int = Field(default=4096, ge=1, le=65_536)


class RatesConfig(_Section):
    """Bursts and silences of hosts and log keys, and what is usual at which hour."""

    enabled: bool = True
    budget: float = Field(default=1e-7, gt=0, lt=1)
    seasonal: Literal["auto", "day", "week", "off"] = "auto"
    interval_s: Literal["auto"] | float = "auto"
    warm: int = Field(default=10, ge=1, le=1_000_000)
    max_hosts: int = Field(default=65_536, ge=1, le=1_000_000)
    repeat_s: float = Field(default=10.0, ge=0, le=1e9)

    @model_validator(mode="after")
    def _interval_is_one(self) -> Self:
        if self.interval_s != "auto" and not 0.001 <= self.interval_s <= 86_400:
            raise ValueError(f'interval_s {self.interval_s} is not "auto" or 0.001 to 86400 seconds')
        return self


class ValuesConfig(_Section):
    """Numbers, words and networks where templates vary."""

    enabled: bool = True
    budget: float = Field(default=1e-6, gt=0, lt=1)
    observations: int = Field(default=100, ge=10, le=1_000_000_000)
    max_checks: int = Field(default=8192, ge=1, le=65_000)


class CombosConfig(_Section):
    """Hosts, processes, kinds of event and users that were never seen together."""

    enabled: bool = True
    users: bool = True
    budget: float = Field(default=1e-6, gt=0, lt=1)
    observations: int = Field(default=100, ge=10, le=1_000_000_000)
    max_pairs: int = Field(default=65_536, ge=1, le=1_000_000)
    repeat_s: int = Field(default=3600, ge=0, le=31_536_000)


class NewEventConfig(_Section):
    """How often a new event is reported."""

    repeat_s: int = Field(default=3600, ge=0, le=31_536_000)
    least: int = Field(default=2, ge=1, le=1_000_000)


SeriesBy = Literal["key", "host", "host_key"]


class MscredConfig(_Section):
    """Counts of log keys over time, judged together (docs/mscred.md)."""

    enabled: bool = False
    by: SeriesBy = "key"
    series: int = Field(default=30, ge=3, le=64)
    interval_s: float = Field(default=1.0, ge=0.001, le=86_400)
    validation: float = Field(default=0.2, gt=0, lt=1)
    epochs: int = Field(default=8, ge=1, le=1000)
    max_steps: int = Field(default=400, ge=1)
    batch: int = Field(default=16, ge=1, le=1024)
    learning_rate: float = Field(default=0.002, gt=0, le=1)
    patience: int = Field(default=3, ge=1)


class TrainingConfig(_Section):
    """configs/training.yaml as a whole. Frozen: what was validated is what is used."""

    format: str = Field(default="auto", min_length=1)
    session: SessionConfig = SessionConfig()
    window: WindowConfig = WindowConfig()
    miner: MinerConfig = MinerConfig()
    model: ModelConfig = ModelConfig()
    fit: FitConfig = FitConfig()
    threshold: ThresholdConfig = ThresholdConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    rates: RatesConfig = RatesConfig()
    values: ValuesConfig = ValuesConfig()
    combos: CombosConfig = CombosConfig()
    new_event: NewEventConfig = NewEventConfig()
    mscred: MscredConfig = MscredConfig()
