"""What an alert says of its cause: who, where, what; out of its fields and its line."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

TEXT_MAX = 1024  # of a line, as far as names are looked for in it
NAME_MAX = 200  # of any name that is kept
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# A header of syslog, in either of its forms: host, and program where there is one.
_HEADER = re.compile(
    r"(?:<\d{1,3}>(?:\d )?)?"
    r"(?:\d{4}-\d\d-\d\d[T ][\d:.,]{8,18}(?:Z|[+-]\d\d:?\d\d)?|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)"
    r" ([^\s:]{1,200}) (?:([^\s\[\]:=\"]{1,100})(?:\[\d*\])?: ?)?"
)
_V4 = r"(?:\d{1,3}\.){3}\d{1,3}"
_V6 = r"[0-9A-Fa-f]{0,4}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}"


# Words after which an address is where something comes from ("by": Connection closed by). To look for
# plain words first takes half the time of one pattern for all.
_SOURCE_WORDS = ("from", "rhost=", "by", "src", "SRC", "client", "peer", "addr", "remote", "getaddrinfo for")
_SOURCE = re.compile(
    r"[a-zA-Z]+(?:(?: (?:(?:authenticating|invalid) )?user \S{1,100})?[=:]? ?[\[(/]?| for \S{1,255} \[)"
    rf"({_V4}|{_V6})(?![\w.])"
)
_ADDRESS = re.compile(rf"({_V4})(?::\d{{1,5}})?")
_RHOST = re.compile(r"rhost=([^\s;]{1,200})")
_USER_WORDS = ("user ", "user=", "USER=", "acct=", "logname=")
_USER = re.compile(r"\w+[ =][\"']?([A-Za-z_][\w.$@-]{0,63})")
_FOR = re.compile(r"\bfor ([A-Za-z_][\w.$@-]{0,63}) from ")
_TRIES = 4  # places of a word that are looked at
_NO_USERS = {"from", "by", "unknown", "request", "with", "name", "and", "not", "is", "id", "to", "on", "in"}
_VARIES = re.compile(r"\S*\d\S*")


class Facts(NamedTuple):
    """Empty texts and None: the alert does not say.

    kind      what happened: the event's template, or the shape of a line that fits none
    kinds     of a detector that speaks of several kinds of event: all of them
    techniques  of a rule: those of ATT&CK that it is tagged with, such as attack.t1110
    at_us     event time in microseconds since 1970
    wide      it speaks of a host or of all lines and not of a session
    """

    id: str
    at_us: int | None
    detector: str
    rule: str
    severity: str
    evidence: float
    detectors: tuple[tuple[str, float], ...]
    session: str
    host: str
    program: str
    kind: str
    kinds: tuple[str, ...]
    techniques: tuple[str, ...]
    source: str
    user: str
    line: str
    wide: bool


def facts_of(alert: Mapping[str, Any]) -> Facts:
    """Of an alert as docs/alert.schema.json has it. ValueError where it is none; what it has more than that
    is passed over."""
    try:
        detector, rule, name = str(alert["detector"]), str(alert["rule"]), str(alert["id"])
        session, text = str(alert["session"])[:NAME_MAX], _line(alert)
        evidence = float(alert.get("evidence") or 0.0)
        agreed = _agreed(alert.get("detectors") or ())
        at_us = _time_us(alert["time"])
        detail = alert.get("detail")
        template = alert["template"]
        severity = str(alert["severity"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"is no alert: {type(error).__name__}: {error}") from None
    header = _HEADER.match(text)
    host, program = (header[1], header[2] or "") if header else ("", "")
    wide = detector in ("rates", "mscred")
    kind = str(template)[:NAME_MAX] if template else ""
    kinds: tuple[str, ...] = ()
    source = user = ""
    if isinstance(detail, Mapping):
        host = _word(detail, "host") or host
        source, user = _word(detail, "source") or _word(detail, "address"), _word(detail, "user")
        if detector == "values" and not source:
            source = _v4(_word(detail, "value"))
        kinds = _kinds(detail)
        kind = kind or (kinds[0] if kinds else "")
    if detector == "rates":
        of_key = isinstance(detail, Mapping) and "host" not in detail and "log_key" in detail
        host, program = "" if of_key else host or session, ""
    elif detector == "flood":
        of = (_word(detail, "rule") or _word(detail, "detector")) if isinstance(detail, Mapping) else ""
        kind = f"more alerts of {of} than are written"[:NAME_MAX]
    elif not wide:
        message = text[header.end() :] if header else text
        # A rule names what it looks for; its template may be any.
        kind = f"rule {rule}" if detector == "rule" else kind or _shape(message)
        source = source or _source(message)
        user = user or _user(message)
    return Facts(
        name[:NAME_MAX],
        at_us,
        detector[:NAME_MAX],
        rule[:NAME_MAX],
        severity,
        evidence,
        agreed or ((detector[:NAME_MAX], evidence),),
        session,
        host[:NAME_MAX],
        program,
        kind,
        kinds,
        _techniques(alert.get("tags")),
        source,
        user,
        text,
        wide,
    )


def _line(alert: Mapping[str, Any]) -> str:
    lines = alert.get("lines")
    text = lines[0].get("text") if lines else None
    return str(text)[:TEXT_MAX] if text else ""


def _agreed(said: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, float], ...]:
    if len(said) == 1:
        one = said[0]
        return ((str(one["name"])[:NAME_MAX], float(one["evidence"])),)
    return tuple([(str(one["name"])[:NAME_MAX], float(one["evidence"])) for one in said[:20]])


def _techniques(tags: Any) -> tuple[str, ...]:
    if not isinstance(tags, list):
        return ()
    return tuple(tag[:NAME_MAX] for tag in tags[:20] if isinstance(tag, str) and tag.startswith("attack.t"))


def _v4(value: str) -> str:
    """The address that is unusual where it stands, perhaps with a port behind it."""
    found = _ADDRESS.fullmatch(value)
    return found[1] if found else ""


def _word(detail: Mapping[str, Any], key: str) -> str:
    value = detail.get(key)
    return value[:NAME_MAX] if isinstance(value, str) else ""


def _kinds(detail: Mapping[str, Any]) -> tuple[str, ...]:
    """Of mscred its series, of rates what a burst was made of; those of counts only say what is missing."""
    series = detail.get("series")
    rows = series if isinstance(series, list) else [detail]
    texts = [row.get("template") for row in rows[:20] if isinstance(row, Mapping)]
    return tuple(text[:NAME_MAX] for text in texts if isinstance(text, str))


def _source(message: str) -> str:
    for word in _SOURCE_WORDS:
        if word in message:
            for at in _places(message, word):
                if (found := _SOURCE.match(message, at)) is not None and (address := _address(found[1])):
                    return address
    found = _RHOST.search(message) if "rhost=" in message else None
    return found[1] if found else ""


def _places(message: str, word: str) -> Iterator[int]:
    """Where it stands as a word of its own; the first few."""
    at = message.find(word)
    for _ in range(_TRIES):
        if at < 0:
            return
        if at == 0 or not (message[at - 1].isalnum() or message[at - 1] == "_"):
            yield at
        at = message.find(word, at + 1)


def _address(text: str) -> str:
    if ":" not in text:
        return text
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        return ""  # a time of day looks like the beginning of one


def _user(message: str) -> str:
    for word in _USER_WORDS:
        if word in message:
            for at in _places(message, word):
                found = _USER.match(message, at)
                if found is not None and found[1] not in _NO_USERS:
                    return found[1]
    found = _FOR.search(message) if " from " in message else None
    return found[1] if found else ""


def _shape(message: str) -> str:
    """Lines of one shape differ only in words with digits."""
    return _VARIES.sub("<*>", message[:NAME_MAX])


def _time_us(text: Any) -> int | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no zone")
    return (moment - _EPOCH) // _MICROSECOND
