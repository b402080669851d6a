"""combos: what belongs together, from normal logs alone.

A line shows two pairs: its host and its process, its process and its log key. Each side of a pair is a
member: a host, say, with the processes that were seen there, its partners. A member is settled where it was
seen often, and where a partner that it was not seen with is improbable. The share of its lines that would
show one is estimated twice, as for the detector of values: by the share of partners seen once (Good,
Biometrika 40, 1953), and by the chance to have missed one as rare as those that were seen, the sum of n
exp(-n). Counted are blocks of lines, not lines, because what is said often at one time is no better known.

The budget is shared by all that were seen often enough. What settles only by chance is found by halves:
learned from each half of the logs, members are tried on the other one, and those of a new pair are left
out. Where they are more than a few, the pairs of this kind are no set at all, and nothing is said of them.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from haechi.config.training import CombosConfig
from haechi.corpus.logs import chunks
from haechi.native import _core
from haechi.train.detector import Entry

NAME = "combos"
FILE = "combos.json"
FORMAT = 1
BLOCKS = 1024  # that the logs are cut into
HOST_PROCESS, PROCESS_KEY = "host_process", "process_key"
_NAME_MAX = 255  # bytes; the engine looks at no longer ones
_USUAL = 3
_FIRED_MOST = 0.05  # of the members that were tried
_UNSEEN = 0xFFFFFFFF

Name = str | int  # of a host or a process; a log key
Pair = tuple[Name, Name]
Line = tuple[bytes, bytes, int]  # host, process, log key


@dataclass
class Seen:
    """The pairs of some lines: how often each came, and in how many blocks."""

    lines: Counter[Pair] = field(default_factory=Counter)
    blocks: Counter[Pair] = field(default_factory=Counter)

    def add(self, pairs: Mapping[Pair, int]) -> None:
        """Those of one block."""
        self.lines.update(pairs)
        self.blocks.update(pairs.keys())

    def __or__(self, other: Seen) -> Seen:
        return Seen(self.lines + other.lines, self.blocks + other.blocks)


@dataclass(frozen=True)
class Member:
    """One side of pairs. nats: how improbable a further partner is; limit: what that had to be."""

    nats: float
    limit: float
    usual: tuple[Name, ...]


Members = tuple[dict[Name, Member], dict[Name, Member]]  # of the first side, of the second


def learn(
    logs: Sequence[Path], format_spec: str, templates: bytes, lines: int, config: CombosConfig
) -> Entry | None:
    """The detector's section and file; None where nothing belongs together. lines: of all the logs."""
    matcher = _core.Matcher(templates)
    halves = study(_lines(logs, format_spec, matcher), lines)
    sets, validation = list[dict[str, Any]](), dict[str, Any]()
    for kind, (first, second) in halves.items():
        kept, said = settle(first, second, lines, config)
        pairs = [pair for pair in (first | second).lines if pair[0] in kept[0] and pair[1] in kept[1]]
        validation[kind] = said | {"pairs": len(pairs)}
        if pairs and len(pairs) <= config.max_pairs:
            sets.append({"kind": kind, **_section(kept, pairs)})
    if not any(_can_differ(one) for one in sets):
        return None
    validation |= {"lines": lines, "budget": config.budget}
    section = {"name": NAME, "file": FILE, "repeat_s": config.repeat_s, "validation": validation}
    return Entry(section, {FILE: document([one for one in sets if _can_differ(one)])})


def document(sets: Sequence[Mapping[str, Any]]) -> bytes:
    """The text of combos.json."""
    return json.dumps({"format": FORMAT, "sets": list(sets)}, separators=(",", ":")).encode()


def study(parsed: Iterable[Line], lines: int) -> dict[str, tuple[Seen, Seen]]:
    """The pairs of each kind in each half of the lines."""
    found = {kind: (Seen(), Seen()) for kind in (HOST_PROCESS, PROCESS_KEY)}
    block, at = max(lines // BLOCKS, 1), 0
    rest = iter(parsed)
    while some := Counter(islice(rest, block)):
        for kind, pairs in zip(found, _pairs(some), strict=True):
            found[kind][at * 2 >= lines].add(pairs)
        at += block
    return found


def settle(first: Seen, second: Seen, lines: int, config: CombosConfig) -> tuple[Members, dict[str, int]]:
    """The members of all lines that neither half speaks against, and how many these are of how many."""
    least = max(config.observations // 2, 1)
    tried = [members(learned, lines, least, config.budget) for learned in (first, second)]
    fired: tuple[set[Name], set[Name]] = (set(), set())
    for known, learned, other in zip(tried, (first, second), (second, first), strict=True):
        for a, b in other.lines:
            if a in known[0] and b in known[1] and (a, b) not in learned.lines:
                fired[0].add(a)
                fired[1].add(b)
    proposed = members(first | second, lines, config.observations, config.budget)
    kept: Members = ({}, {})
    most = max(sum(map(len, known)) for known in tried)
    if sum(map(len, fired)) <= _FIRED_MOST * most:
        for side in (0, 1):
            kept[side].update((n, one) for n, one in proposed[side].items() if n not in fired[side])
    said = {
        "proposed": sum(map(len, proposed)),
        "fired": sum(map(len, fired)),
        "members": sum(map(len, kept)),
    }
    return kept, said


def members(seen: Seen, lines: int, least: int, budget: float) -> Members:
    """Those of each side that were seen so often, and whose partners are settled."""
    partners: tuple[dict[Name, list[Pair]], dict[Name, list[Pair]]] = (defaultdict(list), defaultdict(list))
    for pair in seen.lines:
        for side in (0, 1):
            partners[side][pair[side]].append(pair)
    often = [
        {name: pairs for name, pairs in one.items() if sum(seen.lines[pair] for pair in pairs) >= least}
        for one in partners
    ]
    allowed = budget * lines / max(sum(map(len, often)), 1)
    found: Members = ({}, {})
    for side in (0, 1):
        for name, pairs in often[side].items():
            count = sum(seen.lines[pair] for pair in pairs)
            nats = settled([seen.blocks[pair] for pair in pairs], count, allowed)
            if nats is not None:
                best = sorted(pairs, key=lambda pair: (-seen.lines[pair], str(pair)))[:_USUAL]
                limit = max(math.log(count / allowed), 0.0)
                usual = tuple(pair[1 - side] for pair in best)
                found[side][name] = Member(max(nats, limit), limit, usual)
    return found


def settled(blocks: Sequence[int], count: int, allowed: float) -> float | None:
    """How improbable it is that a line shows a partner that is not among these, in nats; None where more than
    `allowed` may be expected in so many lines again.

    blocks: in how many each was seen; count: all their lines.
    """
    missed = sum(n * math.exp(-n) for n in blocks)
    if max(sum(n == 1 for n in blocks), missed) > allowed:
        return None
    return min(-math.log(max(missed, 1e-300) / count), 2 * math.log(count))


def _pairs(block: Mapping[Line, int]) -> tuple[Counter[Pair], Counter[Pair]]:
    """Host and process, process and log key, of the lines of one block."""
    with_host, with_key = Counter[Pair](), Counter[Pair]()
    for (host, process, key), count in block.items():
        name = _text(process)
        if name is None:
            continue
        if (where := _text(host)) is not None:
            with_host[where, name] += count
        if key != _UNSEEN:
            with_key[name, key] += count
    return with_host, with_key


def _text(name: bytes) -> str | None:
    """A name that a bundle can hold as it is."""
    if not name or len(name) > _NAME_MAX or b"\0" in name:
        return None
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _can_differ(one: Mapping[str, Any]) -> bool:
    """Whether there is a pair that is not known."""
    return len(one["pairs"]) // 2 < len(one["first"]) * len(one["second"])


def _section(kept: Members, pairs: Sequence[Pair]) -> dict[str, Any]:
    listed = [sorted(side, key=lambda name: (str(type(name)), name)) for side in kept]
    place = [{name: i for i, name in enumerate(side)} for side in listed]
    sides = [
        [
            {
                "name": name,
                "nats": round(kept[side][name].nats, 3),
                "limit": round(kept[side][name].limit, 3),
                "usual": list(kept[side][name].usual),
            }
            for name in listed[side]
        ]
        for side in (0, 1)
    ]
    placed = sorted((place[0][a], place[1][b]) for a, b in pairs)
    return {"first": sides[0], "second": sides[1], "pairs": [i for pair in placed for i in pair]}


def _lines(logs: Sequence[Path], format_spec: str, matcher: _core.Matcher) -> Iterator[Line]:
    for data in chunks(logs):
        records = _core.parse(data, format_spec)
        keys = matcher.match(b"".join(message + b"\n" for message in records["message"]))
        fields = records["fields"]
        yield from zip(fields["host"], fields["process"], keys.tolist(), strict=True)
