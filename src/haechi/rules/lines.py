"""Log lines as rules see them: the header read by the core, as the engine reads it."""

from __future__ import annotations

from collections.abc import Iterator

from haechi.native import _core
from haechi.rules.evaluate import Line
from haechi.rules.expression import RuleError

_NONE = 255  # of a facility or severity


def read_lines(data: bytes, *, format_spec: str | None, source: str) -> Iterator[tuple[bytes, Line]]:
    """Each line with what rules see of it. format_spec None: what fits the lines best. A line whose header
    does not fit is all message, as in the engine. session, template and log_key need a bundle, and are not
    there."""
    spec = format_spec or _core.format_detect(data[: 1 << 20])
    try:
        records = _core.parse(data, spec)
    except _core.CoreError as error:
        raise RuleError(f"format: {error}") from None
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if lines and not lines[-1]:
        lines.pop()
    for index, line in enumerate(lines):
        fields = records["fields"]
        texts = {name: fields[name][index] for name in ("host", "process", "pid")}
        texts |= {"line": line, "message": records["message"][index], "source": source.encode()}
        numbers = {name: int(records[name][index]) for name in ("severity", "facility")}
        yield line, Line(texts, {name: None if n == _NONE else n for name, n in numbers.items()})
