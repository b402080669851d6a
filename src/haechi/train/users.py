"""Behind which word the lines of a template name a user, from normal logs alone.

Every template is asked for each of WORDS, the surest first, with the engine's own search (haechi/users.h):
one that finds a name in nearly all of a sample of its lines is taken, where these are names of users. Numbers
are none, but for uid; nor is what is different in most lines, as file names are. A name that never changes is
one only where a template with changing ones knows it as well, because "user manager started" is no user.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from haechi.native import _core

WORDS = (
    b"user",
    b"USER",
    b"acct",
    b"username",
    b"account",
    b"login",
    b"logname",
    b"ruser",
    b"for",  # with "from" behind it
    b"uid",
)
_UID = b"uid"
_SAMPLE = 256  # lines of a template
_FOUND_LEAST = 0.99  # of them
_NOISE = 0.01  # names that may be none
_DIFFERENT_MOST = 0.5  # of a sample of _MANY lines and more
_MANY = 64
_SEED = 1
_UNSEEN = 0xFFFFFFFF
_NO_NAMES = frozenset(
    b"and by does failed for from has id in is logged name not of on out request session the to unknown was "
    b"with".split()
)


def learn(texts: Iterable[tuple[int, bytes]]) -> dict[int, bytes]:
    """The word of each log key whose lines name a user. texts: of each line its log key, and what stands
    behind its process."""
    samples = _sample(texts)
    chosen: dict[int, tuple[bytes, Counter[bytes]]] = {}
    for key, lines in samples.items():
        for word in WORDS:
            names = Counter(_core.find_users([word] * len(lines), lines))
            if _are_users(word, names):
                chosen[key] = (word, names)
                break
    changing = {name for _, names in chosen.values() if _different(names) > 1 for name in names}
    return {
        key: word
        for key, (word, names) in sorted(chosen.items())
        if _different(names) > 1 or not changing.isdisjoint(names)
    }


def find(keys: Sequence[int], texts: Sequence[bytes], words: Mapping[int, bytes]) -> list[bytes]:
    """Each line's user; empty where it names none."""
    found = [b""] * len(keys)
    at = [i for i, key in enumerate(keys) if key in words]
    names = _core.find_users([words[keys[i]] for i in at], [texts[i] for i in at])
    for i, name in zip(at, names, strict=True):
        found[i] = name
    return found


def _different(names: Counter[bytes]) -> int:
    return len(names.keys() - {b""})


def _are_users(word: bytes, names: Counter[bytes]) -> bool:
    count, different = names.total(), _different(names)
    wrong = sum(
        n for name, n in names.items() if name.lower() in _NO_NAMES or name.isdigit() != (word == _UID)
    )
    return (
        count - names[b""] >= _FOUND_LEAST * count
        and wrong - names[b""] <= _NOISE * count
        and (count < _MANY or different <= _DIFFERENT_MOST * count)
    )


def _sample(texts: Iterable[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    """At most _SAMPLE lines of each log key, each as likely as any other (Vitter's algorithm R)."""
    draw = random.Random(_SEED)
    kept, seen = defaultdict[int, list[bytes]](list), Counter[int]()
    for key, text in texts:
        if key == _UNSEEN:
            continue
        seen[key] += 1
        if len(kept[key]) < _SAMPLE:
            kept[key].append(text)
        elif (at := draw.randrange(seen[key])) < _SAMPLE:
            kept[key][at] = text
    return kept
