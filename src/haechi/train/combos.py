"""combos: what belongs together, from normal logs alone.

A line shows two pairs: its host and its process, its process and its log key; and where it names a user
(haechi.train.users), its host and the user, its process and the user. Each side of a pair is a member: a
host, say, with the processes that were seen there, its partners. A member that was seen often is settled
where a partner that it was not seen with is improbable. The share of its lines that would show one is
estimated twice, as for the detector of values: by the share of partners seen once (Good, Biometrika 40,
1953), and by the chance to have missed one as rare as those that were seen, the sum of n exp(-n). Counted are
blocks of lines, not lines, because what is said often at one time is no better known.

The budget is shared by all that were seen often enough. What settles only by chance is found by halves:
learned from each half of the logs, members are tried on the other one, and those of a new pair do not count
as settled. Where they are more than a few, no member of this kind of pairs does, and nothing is said of it.

A user need not be a member: of a host or a process that is settled, any user that it was not seen with is
new. So what is tried on the other half, and listed in the bundle, are all users of those.
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
from haechi.train import users
from haechi.train.detector import Entry

NAME = "combos"
FILE = "combos.json"
FORMAT = 1
BLOCKS = 1024  # that the logs are cut into
HOST_PROCESS, PROCESS_KEY = "host_process", "process_key"
HOST_USER, PROCESS_USER = "host_user", "process_user"
KINDS = (HOST_PROCESS, PROCESS_KEY, HOST_USER, PROCESS_USER)
OF_USERS = (HOST_USER, PROCESS_USER)
_NAME_MAX = 255  # bytes; the engine looks at no longer ones
_USUAL = 3
_FIRED_MOST = 0.05  # of the members that were tried
_UNSEEN = 0xFFFFFFFF

Name = str | int  # of a host or a process; a log key
Pair = tuple[Name, Name]
Line = tuple[bytes, bytes, int, bytes]  # host, process, log key, user


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
    """One side of pairs. nats: how improbable a further partner is; limit: what that had to be.

    None: it is not settled.
    """

    usual: tuple[Name, ...]
    nats: float | None = None
    limit: float | None = None

    @property
    def settled(self) -> bool:
        return self.nats is not None


Members = tuple[dict[Name, Member], dict[Name, Member]]  # of the first side, of the second


def learn(
    logs: Sequence[Path], format_spec: str, templates: bytes, lines: int, config: CombosConfig
) -> Entry | None:
    """The detector's section and file; None where nothing belongs together. lines: of all the logs."""
    matcher = _core.Matcher(templates)
    words = users.learn(_texts(logs, format_spec, matcher)) if config.users else {}
    halves = study(_lines(logs, format_spec, matcher, words), lines)
    sets, validation = list[dict[str, Any]](), dict[str, Any]()
    for kind, (first, second) in halves.items():
        kept, said = settle(first, second, lines, config, strangers=kind in OF_USERS)
        pairs = [pair for pair in (first | second).lines if pair[0] in kept[0] and pair[1] in kept[1]]
        validation[kind] = said | {"pairs": len(pairs)}
        judged = said["settled"] and 0 < len(pairs) <= config.max_pairs
        if judged and (kind in OF_USERS or _can_differ(kept, pairs)):
            sets.append({"kind": kind, **_section(kept, pairs)})
    if not sets:
        return None
    validation |= {"lines": lines, "budget": config.budget}
    section = {"name": NAME, "file": FILE, "repeat_s": config.repeat_s, "validation": validation}
    judged_users = any(one["kind"] in OF_USERS for one in sets)
    return Entry(section, {FILE: document(sets, words if judged_users else {})})


def document(sets: Sequence[Mapping[str, Any]], words: Mapping[int, bytes]) -> bytes:
    """The text of combos.json. words: of log keys, that behind which their lines name a user."""
    text: dict[str, Any] = {"format": FORMAT, "sets": list(sets)}
    if words:
        keys = defaultdict[str, list[int]](list)
        for key, word in sorted(words.items()):
            keys[word.decode()].append(key)
        text["users"] = [{"word": word, "keys": listed} for word, listed in keys.items()]
    return json.dumps(text, separators=(",", ":")).encode()


def study(parsed: Iterable[Line], lines: int) -> dict[str, tuple[Seen, Seen]]:
    """The pairs of each kind in each half of the lines."""
    found = {kind: (Seen(), Seen()) for kind in KINDS}
    block, at = max(lines // BLOCKS, 1), 0
    rest = iter(parsed)
    while some := Counter(islice(rest, block)):
        for kind, pairs in zip(found, _pairs(some), strict=True):
            found[kind][at * 2 >= lines].add(pairs)
        at += block
    return found


def settle(
    first: Seen, second: Seen, lines: int, config: CombosConfig, strangers: bool = False
) -> tuple[Members, dict[str, int]]:
    """The members of all lines that neither half speaks against, and how many these are of how many.

    strangers: what is no member on the second side is new to a settled one on the first, too.
    """
    least = max(config.observations // 2, 1)
    tried = [members(learned, lines, least, config.budget) for learned in (first, second)]
    fired: tuple[set[Name], set[Name]] = (set(), set())
    for known, learned, other in zip(tried, (first, second), (second, first), strict=True):
        for pair in other.lines:
            member = [pair[side] in known[side] for side in (0, 1)]
            if pair in learned.lines or not member[0] or not (member[1] or strangers):
                continue
            for side in (0, 1):
                if member[side] and known[side][pair[side]].settled:
                    fired[side].add(pair[side])
    kept = members(first | second, lines, config.observations, config.budget)
    said = {"members": sum(map(len, kept)), "proposed": _settled_of(kept), "fired": sum(map(len, fired))}
    too_many = said["fired"] > _FIRED_MOST * max(map(_settled_of, tried))
    for side in (0, 1):
        for name, one in kept[side].items():
            if too_many or name in fired[side]:
                kept[side][name] = Member(one.usual)
    if strangers:
        for a, b in sorted((first | second).lines, key=str):
            if a in kept[0] and b not in kept[1]:
                kept[1][b] = Member((a,))
    return kept, said | {"settled": _settled_of(kept)}


def members(seen: Seen, lines: int, least: int, budget: float) -> Members:
    """Those of each side that were seen so often, and whether they are settled."""
    partners: tuple[dict[Name, list[Pair]], dict[Name, list[Pair]]] = (defaultdict(list), defaultdict(list))
    count: tuple[Counter[Name], Counter[Name]] = (Counter(), Counter())
    for pair, n in seen.lines.items():
        for side in (0, 1):
            partners[side][pair[side]].append(pair)
            count[side][pair[side]] += n
    often = [[name for name, n in one.items() if n >= least] for one in count]
    allowed = budget * lines / max(sum(map(len, often)), 1)
    found: Members = ({}, {})
    for side in (0, 1):
        for name in often[side]:
            pairs, n = partners[side][name], count[side][name]
            best = sorted(pairs, key=lambda pair: (-seen.lines[pair], str(pair)))[:_USUAL]
            usual = tuple(pair[1 - side] for pair in best)
            nats = improbability([seen.blocks[pair] for pair in pairs], n, allowed)
            limit = max(math.log(n / allowed), 0.0)
            found[side][name] = Member(usual) if nats is None else Member(usual, max(nats, limit), limit)
    return found


def _settled_of(known: Members) -> int:
    return sum(one.settled for side in known for one in side.values())


def improbability(blocks: Sequence[int], count: int, allowed: float) -> float | None:
    """How improbable it is that a line shows a partner that is not among these, in nats; None where more than
    `allowed` may be expected in so many lines again.

    blocks: in how many each was seen; count: all their lines.
    """
    missed = sum(n * math.exp(-n) for n in blocks)
    if max(sum(n == 1 for n in blocks), missed) > allowed:
        return None
    return min(-math.log(max(missed, 1e-300) / count), 2 * math.log(count))


def _pairs(block: Mapping[Line, int]) -> tuple[Counter[Pair], ...]:
    """Of the lines of one block, in the order of KINDS."""
    found = tuple(Counter[Pair]() for _ in KINDS)
    with_host, with_key, user_of_host, user_of_process = found
    for (host, process, key, user), count in block.items():
        name, who = _text(process), _text(user)
        if name is None:
            continue
        where = _text(host)
        if where is not None:
            with_host[where, name] += count
        if key != _UNSEEN:
            with_key[name, key] += count
        if who is not None:
            user_of_process[name, who] += count
            if where is not None:
                user_of_host[where, who] += count
    return found


def _text(name: bytes) -> str | None:
    """A name that a bundle can hold as it is."""
    if not name or len(name) > _NAME_MAX or b"\0" in name:
        return None
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _can_differ(kept: Members, pairs: Sequence[Pair]) -> bool:
    """Whether there is a pair that is not known."""
    return len(pairs) < len(kept[0]) * len(kept[1])


def _section(kept: Members, pairs: Sequence[Pair]) -> dict[str, Any]:
    listed = [sorted(side, key=lambda name: (str(type(name)), name)) for side in kept]
    place = [{name: i for i, name in enumerate(side)} for side in listed]
    first, second = ([_shown(name, kept[side][name]) for name in listed[side]] for side in (0, 1))
    placed = sorted((place[0][a], place[1][b]) for a, b in pairs)
    return {"first": first, "second": second, "pairs": [i for pair in placed for i in pair]}


def _shown(name: Name, one: Member) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": name, "usual": list(one.usual)}
    if one.nats is not None and one.limit is not None:
        shown |= {"nats": round(one.nats, 3), "limit": round(one.limit, 3)}
    return shown


def _lines(
    logs: Sequence[Path], format_spec: str, matcher: _core.Matcher, words: Mapping[int, bytes]
) -> Iterator[Line]:
    for data in chunks(logs):
        records = _core.parse(data, format_spec)
        keys = matcher.match(b"".join(message + b"\n" for message in records["message"])).tolist()
        fields = records["fields"]
        found: Iterable[bytes] = [b""] * len(keys)
        if words:
            found = users.find(keys, _core.behind_process(data, format_spec), words)
        yield from zip(fields["host"], fields["process"], keys, found, strict=True)


def _texts(logs: Sequence[Path], format_spec: str, matcher: _core.Matcher) -> Iterator[tuple[int, bytes]]:
    """Each line's log key, and what stands behind its process."""
    for data in chunks(logs):
        messages = _core.parse(data, format_spec)["message"]
        keys = matcher.match(b"".join(message + b"\n" for message in messages)).tolist()
        yield from zip(keys, _core.behind_process(data, format_spec), strict=True)
