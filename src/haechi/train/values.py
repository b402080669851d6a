"""values: what is usual where templates vary, and the checks that say what is not.

The core counts (haechi/values.h, ValueStudy): per log key, place and skeleton which words, numbers and
networks occurred, and how often. Here it is decided which places are worth a check, from normal logs alone:

- A set (of words, numbers or networks) is closed where a value that was never seen is improbable. The share
  of values that a further line would show for the first time is estimated twice: by the share of values seen
  once (Good, Biometrika 40, 1953), and by the chance to have missed one as rare as those that were seen, the
  sum of p exp(-pN). Counted are blocks of lines, not lines, because what is said often at one time is no
  better known.
- A number has a range. Beyond the 32 highest values of N the excesses are taken for exponential, and their
  logarithms too (Hill, Annals of Statistics 3, 1975), which is a power law; the farther limit of both counts,
  and it lies as far above the highest as that above the lowest, at least. Likewise below, but there half the
  lowest value is a margin that is wide enough.
- What grows with time, and every other check that is not what it seems, is found by halves: checks learned
  from each half of the logs, with a smaller margin, are made on the other one. Kept are those that both
  halves propose and neither one's lines fail.

The false alarms to be expected of all checks together are within the budget; each has the same part of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from haechi.config.training import ValuesConfig
from haechi.corpus.logs import chunks
from haechi.native import _core
from haechi.train.detector import Entry

NAME = "values"
FILE = "values.json"
FORMAT = 1
BLOCKS = 1024  # that the logs are cut into
EXACT = 2**53  # whole numbers that JSON keeps
_DENSE = 0.5  # of the numbers between the lowest and the highest: then they are a range, not a set
_DIFFERENT_LEAST = 2  # what never varied tells nothing of how it may vary
_LEAST_LOW = 4  # a lower limit below this would forbid next to nothing
_NATS_MOST = 60.0
_NETWORK_BITS = ("24", "16", "8")
_NETWORKS_MOST = 32
_MARGIN, _TRIED_MARGIN = 1.0, 0.25  # of the range seen; a counter has twice the range in twice the time

Kind = Literal["words", "range", "numbers", "networks"]


@dataclass(frozen=True)
class Check:
    """One entry of values.json. skeleton and part are None for words; usual is None for a range."""

    log_key: int
    step: int
    kind: Kind
    nats: float
    skeleton: str | None = None
    part: int | None = None
    usual: tuple[Any, ...] | None = None
    low: int | None = None
    high: int | None = None
    low_slope: float = 0.0
    high_slope: float = 0.0

    @property
    def place(self) -> tuple[int, int, str | None, int | None]:
        return (self.log_key, self.step, self.skeleton, self.part)

    def section(self, limit: float) -> dict[str, Any]:
        shown: dict[str, Any] = {"log_key": self.log_key, "step": self.step, "kind": self.kind}
        if self.skeleton is not None:
            shown |= {"skeleton": self.skeleton, "part": self.part}
        if self.usual is not None:
            shown["usual"] = list(self.usual)
        else:
            shown |= {"low": self.low, "high": self.high}
            shown |= {"low_slope": self.low_slope, "high_slope": self.high_slope}
        return shown | {"nats": round(max(self.nats, limit), 3), "limit": round(limit, 3)}


@dataclass(frozen=True)
class Allowance:
    """events: false alarms that all checks, or one, may be expected to raise on as many lines as were learned
    from; observations: of a place, for it to be checked; margin: of a range, in ranges."""

    events: float
    observations: int
    margin: float = _MARGIN


Name = tuple[Kind, int, int, str | None, int | None, int]


def learn(
    logs: Sequence[Path], format_spec: str, templates: bytes, lines: int, config: ValuesConfig
) -> Entry | None:
    """The detector's section and file; None where nothing is worth a check. lines: of all the logs."""
    matcher = _core.Matcher(templates)
    block = max(lines // BLOCKS, 1)
    allowance = Allowance(config.budget * lines, config.observations)
    halves = (list(_part(logs, 0, lines // 2)), list(_part(logs, lines // 2, None)))
    tried = Allowance(allowance.events, max(config.observations // 2, 1), _TRIED_MARGIN)
    held, fired = list[set[Name]](), 0
    for learned, other in (halves, halves[::-1]):
        checks = propose(_study(learned, format_spec, matcher, block), tried)
        failed = _failed(checks, other, format_spec, matcher)
        held.append({_name(check) for check in checks} - failed.keys())
        fired += sum(failed.values())
    study = _study((*halves[0], *halves[1]), format_spec, matcher, block)
    proposed = propose(study, allowance)
    kept = _one_a_part(check for check in proposed if all(_name(check) in names for names in held))
    kept = kept[: config.max_checks]
    if not kept:
        return None
    validation = {"lines": lines, "budget": config.budget, "proposed": len(proposed), "fired": fired}
    content = document(kept, _limit(config.budget, len(kept)))
    return Entry({"name": NAME, "file": FILE, "checks": len(kept), "validation": validation}, {FILE: content})


def document(checks: Sequence[Check], limit: float) -> bytes:
    """The text of values.json."""
    listed = [check.section(limit) for check in checks]
    return json.dumps(
        {"format": FORMAT, "checks": listed}, ensure_ascii=False, separators=(",", ":")
    ).encode()


def propose(study: Mapping[str, Any], allowance: Allowance) -> list[Check]:
    """Every check that the statistics allow, in the order of log keys and steps; several of one part, the
    preferred one first."""
    candidates = _candidates(study, allowance.observations)
    part = replace(allowance, events=allowance.events / max(candidates, 1))
    found: list[Check] = []
    for step in study["steps"]:
        if step["count"] < allowance.observations:
            continue
        found.extend(_of_words(step, part))
        for skeleton in step["skeletons"]:
            found.extend(_of_skeleton(step, skeleton, part))
    return found


def _candidates(study: Mapping[str, Any], observations: int) -> int:
    parts = (part for step in study["steps"] for skeleton in step["skeletons"] for part in skeleton["parts"])
    counts = [part["count"] for part in parts if part is not None]
    counts += [step["count"] for step in study["steps"]]
    return sum(count >= observations for count in counts)


def _of_words(step: Mapping[str, Any], allowance: Allowance) -> Iterator[Check]:
    skeletons = step["skeletons"]
    if step["other"] or len(skeletons) < _DIFFERENT_LEAST:
        return
    seen = [[s["text"], s["count"], s["blocks"]] for s in skeletons]
    nats = closed(seen, allowance.events)
    if nats is not None:
        usual = tuple(sorted(s["text"] for s in skeletons))
        yield Check(step["log_key"], step["step"], "words", nats, usual=usual)


def _of_skeleton(
    step: Mapping[str, Any], skeleton: Mapping[str, Any], allowance: Allowance
) -> Iterator[Check]:
    for index, part in enumerate(skeleton["parts"]):
        if part is None or part["count"] < allowance.observations:
            continue
        place = Check(step["log_key"], step["step"], "range", 0.0, skeleton=skeleton["text"], part=index)
        if part["kind"] == "address":
            yield from _of_address(place, part, allowance)
        elif part["zeros"] == 0 and part["long"] == 0:
            yield from _of_number(place, part, allowance)


def _of_address(place: Check, part: Mapping[str, Any], allowance: Allowance) -> Iterator[Check]:
    """The narrowest networks first. Where one and the same address spoke alone, nothing is known."""
    finest = part["networks"]["24"]
    if finest is not None and len(finest) < _DIFFERENT_LEAST:
        return
    for bits in _NETWORK_BITS:
        seen = part["networks"][bits]
        if seen is None or len(seen) > _NETWORKS_MOST:
            continue
        nats = closed(seen, allowance.events)
        if nats is not None:
            octets = int(bits) // 8
            usual = tuple(network_text(what, octets) for what, _, _ in sorted(seen))
            yield replace(place, kind="networks", nats=nats, usual=usual)


def network_text(network: int, octets: int) -> str:
    """As the core counts them: 16 bits an octet."""
    return ".".join(str(network >> 16 * (octets - 1 - i) & 0xFFFF) for i in range(octets))


def _of_number(place: Check, part: Mapping[str, Any], allowance: Allowance) -> Iterator[Check]:
    """A set where the numbers are few and far between, and a range."""
    lowest, highest = part["lowest"], part["highest"]
    if highest[0] > EXACT or lowest[0] == highest[0]:
        return
    seen = part["values"]
    if seen is not None and len(seen) < _DENSE * (highest[0] - lowest[0] + 1):
        nats = closed(seen, allowance.events)
        if nats is not None:
            usual = tuple(sorted(what for what, _, _ in seen))
            yield replace(place, kind="numbers", nats=nats, usual=usual)
    low, low_slope, high, high_slope, nats = limits(part["count"], lowest, highest, allowance)
    if high <= EXACT:
        yield replace(place, nats=nats, low=low, high=high, low_slope=low_slope, high_slope=high_slope)


def closed(seen: Sequence[Sequence[Any]], events: float) -> float | None:
    """How improbable a value that is not among these is, in nats; None where it is not improbable enough, or
    one value alone was seen all the time at which others could have been.

    seen: [what, count, blocks] of each value; events: how many new ones may be expected in as many
    observations again.
    """
    blocks = np.array([n for _, _, n in seen], dtype=np.float64)
    count = sum(n for _, n, _ in seen)
    once = float((blocks == 1).sum())
    missed = float((blocks * np.exp(-blocks)).sum())
    if max(once, missed) > events:
        return None
    return min(math.log(count / max(missed, 1e-300)), 2 * math.log(count), _NATS_MOST)


def limits(
    count: int, lowest: Sequence[int], highest: Sequence[int], allowance: Allowance
) -> tuple[int, float, int, float, float]:
    """Low, high, how many nats a unit beyond each is worth, and the nats at them.

    lowest, highest: the ends of count numbers, sorted from the end on; allowance.events: how many values may
    be expected beyond a limit in count more.
    """
    events = allowance.events
    span = highest[0] - lowest[0] + 1  # numbers
    above = np.array(highest, dtype=np.float64)
    high, high_scale = _tail(above, count, events)
    high = max(high, highest[0] + span * allowance.margin)
    nearest = np.array(lowest, dtype=np.float64)
    turned, low_scale = _tail(-nearest, count, events, -np.log(np.maximum(nearest, 1e-9)))
    low = min(-turned, lowest[0] / 2)
    if low < _LEAST_LOW:
        low = 0.0
    nats = math.log(count) - math.log(max(events, 1e-9))
    return math.floor(low), 1 / low_scale, math.ceil(high), 1 / high_scale, min(nats, _NATS_MOST)


def _tail(
    ends: np.ndarray[Any, np.dtype[np.float64]],
    count: int,
    events: float,
    logs: np.ndarray[Any, np.dtype[np.float64]] | None = None,
) -> tuple[float, float]:
    """The value that so many of count more will pass, and the mean excess. ends: descending; of count values.
    logs: the logarithms whose excesses are taken for exponential, too, in the order of ends."""
    k = len(ends) - 1
    beyond = max(math.log(max(k, 1) / max(events, 1e-9)), 0.0)
    scale = max(float((ends[:-1] - ends[-1]).mean()) if k else 0.0, 1.0)
    exponential = float(ends[-1]) + scale * beyond
    if logs is None:
        power = np.log(np.maximum(ends, 1e-9))
        slope = float((power[:-1] - power[-1]).mean()) if k else 0.0
        return max(exponential, float(np.exp(min(power[-1] + slope * beyond, 100.0)))), scale
    slope = float((logs[:-1] - logs[-1]).mean()) if k else 0.0
    return max(exponential, -float(np.exp(-(logs[-1] + slope * beyond)))), scale


def _study(data: Iterable[bytes], format_spec: str, matcher: _core.Matcher, block: int) -> dict[str, Any]:
    study = _core.ValueStudy(format_spec, matcher, block)
    for lines in data:
        study.learn_log(lines)
    found: dict[str, Any] = json.loads(study.finish())
    return found


def _failed(
    checks: Sequence[Check], lines: Sequence[bytes], format_spec: str, matcher: _core.Matcher
) -> dict[Name, int]:
    """The checks that other normal lines fail, and how often. A line says only which of its checks fails
    first, so those that failed are left out and the rest is tried again."""
    failed: dict[Name, int] = {}
    while checks:
        judge = _core.ValueChecks(format_spec, matcher, document(checks, 0.0))
        found = np.zeros(len(checks) + 1, dtype=np.int64)
        for data in lines:
            found += np.bincount(judge.judge_log(data), minlength=len(found))
        if not found[1:].any():
            break
        failed |= {_name(check): int(n) for check, n in zip(checks, found[1:], strict=True) if n}
        checks = [check for check, n in zip(checks, found[1:], strict=True) if not n]
    return failed


def _one_a_part(checks: Iterable[Check]) -> list[Check]:
    """Of several checks of one part the first."""
    found: dict[tuple[int, int, str | None, int | None], Check] = {}
    for check in checks:
        found.setdefault(check.place, check)
    return list(found.values())


def _name(check: Check) -> Name:
    """Networks of another width are another check."""
    width = str(check.usual[0]).count(".") if check.kind == "networks" and check.usual else 0
    return (check.kind, *check.place, width)


def _limit(budget: float, checks: int) -> float:
    """The nats of a check's part of the budget."""
    return -math.log(budget / checks)


def _part(logs: Sequence[Path], first: int, end: int | None) -> Iterator[bytes]:
    """The lines from one number to another, or to the last one, of all files one after the other."""
    at = 0
    for data in chunks(logs):
        ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == 10) + 1
        if not len(ends) or ends[-1] != len(data):
            ends = np.append(ends, len(data))
        low, high = max(first - at, 0), len(ends) if end is None else min(end - at, len(ends))
        if low < high:
            yield data[int(ends[low - 1]) if low else 0 : int(ends[high - 1])]
        at += len(ends)
