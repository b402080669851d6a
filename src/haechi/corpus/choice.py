"""Which lines belong together, found out from the lines.

What makes a good session is that flows recur: the same short sequences of log keys, again and again under new
names. A rule is taken when, on a sample, it gives enough sessions, most of them longer than one event, and no
more than half as many different sequences as sessions. Values in the message are tried first (a block or
request id ties lines together across hosts and processes), then header fields, the finest set first.

Where nothing recurs, the stream is cut by the clock: a session that never ends could be judged only once.
Fields are kept apart where that makes the next log key clearly more predictable.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from haechi.config.training import HeaderField
from haechi.corpus.logs import SAMPLE_BYTES, SessionRule, read
from haechi.corpus.sessions import NO_TIME, EventStream, Sessions, cut
from haechi.native import _core

FIELDS: tuple[HeaderField, ...] = ("host", "process", "pid", "thread")
IDLE_S = (60, 3600)
MIN_VALUE_SHARE = 0.5
MAX_PREFIXES = 3
MIN_SESSIONS = 20
CLEARLY_LESS = 0.9
CLOCKS = (60, 300, 900, 3600)
CLOCK_EVENTS = 20
_VALUE = re.compile(rb"(?<![A-Za-z0-9_-])([A-Za-z]{2,24}[_-])-?(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]+")


def candidates(head: bytes, format_spec: str) -> list[SessionRule]:
    """The rules under which flows may recur on these lines, in the order of preference."""
    records = _core.parse(head, format_spec)
    varied = [name for name in FIELDS if len(set(records["fields"][name])) > 1]
    rules = [SessionRule("value", prefix=prefix) for prefix in value_prefixes(records["message"])]
    for size in range(len(varied), 0, -1):
        rules += [SessionRule("fields", fields=chosen) for chosen in combinations(varied, size)]
    return rules


def value_prefixes(messages: Sequence[bytes]) -> list[str]:
    """What ids in these messages start with: in half of the lines, and most of them in several lines."""
    lines_of: dict[bytes, Counter[bytes]] = {}
    lines: Counter[bytes] = Counter()
    for message in messages:
        found = {match.group(1): match.group(0) for match in _VALUE.finditer(message)}
        for prefix, value in found.items():
            lines_of.setdefault(prefix, Counter())[value] += 1
            lines[prefix] += 1
    good = [
        prefix
        for prefix, values in lines_of.items()
        if lines[prefix] >= MIN_VALUE_SHARE * len(messages)
        and len(values) >= 5
        and float(np.median(list(values.values()))) >= 2
    ]
    return [prefix.decode() for prefix in sorted(good, key=lambda p: (-lines[p], p))[:MAX_PREFIXES]]


def choose(paths: Sequence[Path], head: bytes, format_spec: str, matcher: _core.Matcher) -> SessionRule:
    """The first rule under which flows recur; else by the clock, as the module says."""
    limit = max(SAMPLE_BYTES // len(paths), 1)

    def stream_of(rule: SessionRule) -> EventStream:
        return read(paths, format_spec, matcher, rule, limit).stream

    whole = stream_of(SessionRule("all"))
    best_fields: tuple[HeaderField, ...] = ()
    best_bits = CLEARLY_LESS * bits_per_event(whole)
    for rule in candidates(head, format_spec):
        stream = stream_of(rule)
        if recurs(cut(stream, choose_idle_s(stream))):
            return rule
        if rule.by == "fields" and (bits := bits_per_event(stream)) < best_bits:
            best_fields, best_bits = rule.fields, bits
    if (whole.time_us == NO_TIME).any():
        return SessionRule("fields", best_fields) if best_fields else SessionRule("all")
    return _by_clock(best_fields, stream_of)


def _by_clock(
    fields: tuple[HeaderField, ...], stream_of: Callable[[SessionRule], EventStream]
) -> SessionRule:
    """The shortest of CLOCKS that gives most sessions something to compare."""
    rule = SessionRule("time", fields=fields)
    for seconds in CLOCKS:
        rule = SessionRule("time", fields=fields, seconds=seconds)
        _, length = np.unique(stream_of(rule).session, return_counts=True)
        if float(np.median(length)) >= CLOCK_EVENTS:
            break
    return rule


def recurs(sessions: Sessions) -> bool:
    """Whether these look like flows that come again and again."""
    if len(sessions) < MIN_SESSIONS or float(np.median(sessions.lengths)) < 2:
        return False
    return len(sessions.distinct()[0]) <= len(sessions) / 2


def bits_per_event(stream: EventStream) -> float:
    """What a log key costs given the two before it in its session, learned on the first 70 % of the events
    and measured on the rest.

    Order 0, 1 and 2 are blended by Witten-Bell's weights (IEEE Trans. IT 37, 1991): a context counts for as
    much as it was seen, and against it as many different successors as it had.
    """
    n = len(stream.key)
    order = np.argsort(stream.session, kind="stable")
    key = stream.key[order].astype(np.int64) + 2  # 0: before the session, 1: no template
    same = np.concatenate(([False], stream.session[order][1:] == stream.session[order][:-1]))
    previous = np.where(same, np.concatenate(([0], key[:-1])), 0)
    kinds = int(key.max(initial=1)) + 1
    earlier = np.where(same, np.concatenate(([0], previous[:-1])), 0)
    learned = order < 0.7 * n
    if learned.all() or not learned.any():
        return float("inf")
    probability = np.full(n, 1 / kinds)
    for context in (np.zeros(n, dtype=np.int64), previous, earlier * kinds + previous):
        probability = _blend(context, key, kinds, learned, probability)
    return float(-np.log2(probability[~learned]).mean())


def _blend(
    context: npt.NDArray[np.int64],
    key: npt.NDArray[np.int64],
    kinds: int,
    learned: npt.NDArray[np.bool_],
    lower: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """One order of context over the probabilities of the order below; all arrays [events]."""
    contexts, at = np.unique(context, return_inverse=True)
    pairs, pair_at = np.unique(at * np.int64(kinds) + key, return_inverse=True)
    pair_count = np.bincount(pair_at[learned], minlength=len(pairs))
    seen = np.bincount(at[learned], minlength=len(contexts))
    different = np.bincount((pairs // kinds)[pair_count > 0], minlength=len(contexts))
    known = seen[at] > 0
    whole = np.where(known, seen[at] + different[at], 1)
    mixed = (pair_count[pair_at] + different[at] * lower) / whole
    return np.where(known, mixed, lower)


def choose_idle_s(stream: EventStream) -> int:
    """Three times the 95th percentile of the gaps between neighbouring events of a session, within IDLE_S."""
    order = np.argsort(stream.session, kind="stable")
    same = stream.session[order][1:] == stream.session[order][:-1]
    timed = stream.time_us[order]
    known = same & (timed[1:] > 0) & (timed[:-1] > 0)
    gaps = np.maximum(timed[1:][known] - timed[:-1][known], 0) / 1e6
    usual = float(np.quantile(gaps, 0.95)) if len(gaps) else 0.0
    return int(np.clip(np.ceil(3 * usual), *IDLE_S))
