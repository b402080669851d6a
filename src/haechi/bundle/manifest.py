"""manifest.json as a validated model; docs/bundle.md says what each field means."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from haechi.config.training import HeaderField, SessionBy

Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class FileEntry(_Part):
    """What a file of the bundle must be."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: Count


class Corpus(_Part):
    """What it was trained on. Times are RFC 3339 in UTC, None where the lines have none."""

    sources: tuple[str, ...]
    lines: Count
    malformed: Count
    sessions: Count
    time_from: str | None
    time_to: str | None


class Parser(_Part):
    """A preset's name or a pattern (haechi/format.h)."""

    format: str = Field(min_length=1)


class SessionRule(_Part):
    """Which lines belong together, and when a session ends."""

    by: SessionBy
    fields: tuple[HeaderField, ...] = ()
    prefix: str = ""
    seconds: Count = 0
    idle_s: int | float = Field(ge=0.01)  # a whole number is written as one
    max_open: int = Field(ge=1)


class NewEvent(_Part):
    """Keys outside trained_keys are reported, each at most once in repeat_s seconds."""

    name: Literal["new_event"] = "new_event"
    trained_keys: tuple[Count, ...]
    repeat_s: Count


class DeepLog(_Part):
    """The next-log-key model, its rule and its thresholds in nats."""

    name: Literal["deeplog"] = "deeplog"
    file: str = "deeplog.onnx"
    begin: Count
    end: Count
    unseen: Count
    rule: Literal["likelihood", "topk"]
    top_k: int = Field(ge=1)
    unseen_surprise: float = Field(gt=0)
    event_surprise: float = Field(ge=0)
    session_surprise: float = Field(ge=0)
    least_surprise: float = Field(ge=0)
    event_evidence: dict[str, Any] | None = None
    session_evidence: dict[str, Any] | None = None
    validation: dict[str, Any]


class Counts(_Part):
    """Event-count vectors of sessions; limit: the distance from the nearest of training."""

    name: Literal["counts"] = "counts"
    file: str
    vectors: int = Field(ge=1)
    limit: float = Field(ge=0, le=1)
    evidence: dict[str, Any]


class Ensemble(_Part):
    """What the detectors' limits rest on: one threshold on the strongest evidence, in nats."""

    name: Literal["ensemble"] = "ensemble"
    threshold: float
    detectors: tuple[str, ...]
    validation: dict[str, Any]


class Other(_Part):
    """A detector whose section only training and the engine read."""

    name: str = Field(pattern=r"^[a-z][a-z_]{0,22}$")


_KINDS = ("new_event", "deeplog", "counts", "ensemble")


def _kind(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return name if name in _KINDS else "other"


Detector = Annotated[
    Annotated[NewEvent, Tag("new_event")]
    | Annotated[DeepLog, Tag("deeplog")]
    | Annotated[Counts, Tag("counts")]
    | Annotated[Ensemble, Tag("ensemble")]
    | Annotated[Other, Tag("other")],
    Discriminator(_kind),
]


class Manifest(_Part):
    """The whole of manifest.json."""

    format: Literal[1] = 1
    created: str
    haechi: str
    parent: str | None
    files: dict[str, FileEntry]
    corpus: Corpus
    parser: Parser
    log_keys: Count
    session: SessionRule
    window: int = Field(ge=1, le=64)
    detectors: tuple[Detector, ...]

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        for detector in self.detectors:
            if isinstance(detector, NewEvent):
                if any(key >= self.log_keys for key in detector.trained_keys):
                    raise ValueError(f"trained_keys holds a key that is not below log_keys {self.log_keys}")
                continue
            if (file := getattr(detector, "file", None)) is not None and file not in self.files:
                raise ValueError(f"{file} is not among the files")
            if not isinstance(detector, DeepLog):
                continue
            marks = (detector.begin, detector.end, detector.unseen)
            if marks != (self.log_keys, self.log_keys + 1, self.log_keys + 2):
                raise ValueError(
                    f"begin, end, unseen are {marks}, not the three after log_keys {self.log_keys}"
                )
        return self

    @property
    def new_event(self) -> NewEvent:
        """LookupError where the bundle has no such detector."""
        for detector in self.detectors:
            if isinstance(detector, NewEvent):
                return detector
        raise LookupError("the bundle has no new_event detector")

    @property
    def deeplog(self) -> DeepLog:
        """LookupError where the bundle has no such detector."""
        for detector in self.detectors:
            if isinstance(detector, DeepLog):
                return detector
        raise LookupError("the bundle has no deeplog detector")
