"""The C core as Python sees it: one call a batch, the GIL released, no policy.

Every method that takes `bytes` takes whole lines, each ended by a newline (the last one may lack it).
Errors of the core arrive as `CoreError` with the core's own sentence.
"""

from collections.abc import Iterable
from typing import TypedDict

import numpy as np
import numpy.typing as npt

class CoreError(ValueError):
    """What the core refused, in its own words; `code` is the core's negative error code."""

    code: int

def format_presets() -> dict[str, str]:
    """Preset name -> its pattern or description."""

def format_detect(data: bytes) -> str:
    """The preset that fits these lines best; "plain" where none fits nine tenths of them."""

class Records(TypedDict):
    time_us: npt.NDArray[np.int64]  # [n]; INT64_MIN where the header has no time
    malformed: npt.NDArray[np.bool_]  # [n]
    message: list[bytes]  # [n]
    facility: npt.NDArray[np.uint8]  # [n] syslog's, 255 where the header has none
    severity: npt.NDArray[np.uint8]  # [n] syslog's, or of the level's word; 255 where there is neither
    fields: dict[str, list[bytes]]  # host, process, pid, thread, level -> [n]

def parse(data: bytes, format_spec: str) -> Records:
    """Every line as a record; for small inputs, tests and people."""

def behind_process(data: bytes, format_spec: str) -> list[bytes]:
    """[n] what of each line stands behind its process; empty where it names none or does not fit."""

def find_users(words: Iterable[bytes], texts: Iterable[bytes]) -> list[bytes]:
    """Of each word and text: the user's name that stands behind it, or nothing (haechi/users.h)."""

class Miner:
    """Learns templates. Same messages in the same order, same bytes from finish()."""

    def __init__(self, max_templates: int = 0, max_tokens: int = 0, max_memory_bytes: int = 0) -> None: ...
    def learn(self, messages: bytes) -> int:
        """One bare message a line; the number learned."""
    def learn_log(self, data: bytes, format_spec: str) -> tuple[int, int]:
        """Log lines with their headers; (lines learned, lines malformed)."""
    def finish(self) -> bytes:
        """The text of templates.json."""

class Matcher:
    """A frozen set of templates, from the text of templates.json."""

    def __init__(self, templates: bytes) -> None: ...
    def __len__(self) -> int: ...
    def text(self, log_key: int) -> str: ...
    def match(self, messages: bytes) -> npt.NDArray[np.uint32]:
        """[n lines] log keys of bare messages, 0xFFFFFFFF where none fits."""

class ValueStudy:
    """What stands where templates vary (haechi/values.h), of log lines with their headers."""

    def __init__(self, format_spec: str, matcher: Matcher, block: int = 1) -> None:
        """block: so many lines in a row count once where it is asked how often something came again."""
    def learn_log(self, data: bytes) -> None: ...
    def finish(self) -> bytes:
        """JSON, as hx_value_study_finish describes it."""

class ValueChecks:
    """The checks of a values.json, as the engine makes them."""

    def __init__(self, format_spec: str, matcher: Matcher, checks: bytes) -> None: ...
    def judge_log(self, data: bytes, one_by_one: bool = False) -> npt.NDArray[np.uint16]:
        """[n lines] 0, or 1 + the index of the first check that the line fails. one_by_one: without the
        engine's memory of forms, to compare with."""

class Events(TypedDict):
    line: npt.NDArray[np.int64]  # [n] offset of the event's line in data
    key: npt.NDArray[np.uint32]  # [n] log key, 0xFFFFFFFF: fits no template
    session: npt.NDArray[np.uint64]  # [n] hash of the session's name
    time_us: npt.NDArray[np.int64]  # [n] event time; INT64_MIN where the header has none
    first_of_line: npt.NDArray[np.bool_]  # [n]
    lines: int
    malformed: int
    unseen: int

class Front:
    """Bytes to events with exactly the code that detection runs (haechi/front.h)."""

    def __init__(
        self,
        format_spec: str,
        matcher: Matcher,
        *,
        by: str,
        fields: list[str],
        prefix: str = "",
        seconds: int = 0,
    ) -> None:
        """by: "fields", "value", "time" or "all", as `session` in a bundle's manifest."""
    def read(self, data: bytes) -> Events: ...
    def session_name(self, data: bytes, line: int) -> str:
        """The (first) session name of the line at this offset."""
