"""Sets of regular expressions to measure with: as varied as a SIEM's rules, the same for a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROGRAMS = (
    "sshd",
    "sudo",
    "su",
    "cron",
    "nginx",
    "postfix",
    "named",
    "kernel",
    "systemd",
    "dockerd",
    "kubelet",
)
USERS = (
    "root",
    "admin",
    "oracle",
    "postgres",
    "backup",
    "jenkins",
    "deploy",
    "guest",
    "test",
    "ubuntu",
    "ftp",
)
SHELLS = ("bash", "sh", "zsh", "dash", "python3", "perl", "ruby", "php", "node", "lua", "nc", "ncat", "socat")
FETCHERS = ("wget", "curl", "fetch", "lwp-download", "aria2c", "ftpget", "tftp", "scp", "rsync")
SECRETS = (
    "passwd",
    "shadow",
    "sudoers",
    "gshadow",
    "crypttab",
    "krb5.keytab",
    "ssh/sshd_config",
    "ld.so.preload",
)
PLACES = (
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/run/user",
    "/opt",
    "/srv",
    "/home/[a-z]+",
    "/root",
    "/usr/local/bin",
)
VERBS = (
    "denied",
    "refused",
    "rejected",
    "blocked",
    "failed",
    "dropped",
    "revoked",
    "invalid",
    "expired",
    "terminated",
)
NOUNS = (
    "access",
    "password",
    "session",
    "certificate",
    "token",
    "login",
    "request",
    "connection",
    "signature",
    "key",
)
TOOLS = (
    "mimikatz", "xmrig", "cobaltstrike", "meterpreter", "linpeas", "chisel", "ligolo", "sliver", "havoc",
    "rubeus", "impacket", "bloodhound", "responder", "hydra", "medusa", "nmap", "masscan", "sqlmap", "nikto",
    "gobuster",
)  # fmt: skip
SYLLABLES = (
    "ba",
    "cor",
    "den",
    "fel",
    "gra",
    "hux",
    "ist",
    "jor",
    "kal",
    "lum",
    "mir",
    "nox",
    "oph",
    "pra",
    "qua",
    "rez",
)
SQL = ("union", "select", "insert", "update", "delete", "drop", "exec", "declare", "sleep", "benchmark")
ENDINGS = ("com", "net", "org", "io", "ru", "xyz", "top", "info", "biz", "cc")

Maker = Callable[[random.Random], str]


def _name(rng: random.Random, least: int = 2, most: int = 4) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(least, most)))


def _some(rng: random.Random, words: Sequence[str], count: int) -> str:
    return "|".join(rng.sample(words, count))


def _hex(rng: random.Random, digits: int) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(digits))


def _failed_login(rng: random.Random) -> str:
    return rf"{rng.choice(VERBS)} {rng.choice(NOUNS)} for (?:invalid user )?(?:{_some(rng, USERS, 3)}) from"


def _anchored(rng: random.Random) -> str:
    return rf"^(?:{_some(rng, VERBS, 2)}):? (?:{_some(rng, NOUNS, 3)}) {_name(rng)}"


def _fetched_script(rng: random.Random) -> str:
    file = rf"{_name(rng, 1, 2)}\.(?:sh|py|pl|elf)"
    return rf"(?:{_some(rng, FETCHERS, 2)})\s+(?:-[a-zA-Z]+\s+)*https?://[^\s]+/{file}"


def _reverse_shell(rng: random.Random) -> str:
    return rf"(?:{_some(rng, SHELLS, 2)}) -[ic]+ .{{0,40}}/dev/(?:tcp|udp)/{_name(rng, 1, 2)}"


def _secret_file(rng: random.Random) -> str:
    return rf"(?:{_some(rng, SHELLS, 2)}|cat|less|cp)\s.*/etc/{rng.choice(SECRETS)}.*{_name(rng, 1, 1)}"


def _hidden_file(rng: random.Random) -> str:
    return rf"{rng.choice(PLACES)}/\.{_name(rng, 1, 2)}[a-z0-9_-]{{2,12}}/"


def _tool(rng: random.Random) -> str:
    return rf"\b{rng.choice(TOOLS)}[-_.]?{_name(rng, 1, 1)}(?:\.exe|\.elf|\.bin)?\b"


def _domain(rng: random.Random) -> str:
    return rf"\b(?:[a-z0-9-]{{1,63}}\.)*{_name(rng)}\.(?:{_some(rng, ENDINGS, 2)})\b"


def _address(rng: random.Random) -> str:
    first, second = rng.randint(11, 223), rng.randint(0, 255)
    return rf"\b{first}\.{second}\.(?:{rng.randint(0, 99)}|1{rng.randint(0, 9)}[0-9])\.\d{{1,3}}\b"


def _hash(rng: random.Random) -> str:
    return rf"\b{_hex(rng, rng.choice((32, 40, 64)))}\b"


def _injection(rng: random.Random) -> str:
    return rf"(?:%27|')\s*(?:{_some(rng, SQL, 2)})(?:\s|%20|\+)+(?:all|from|into|{_name(rng, 1, 2)})"


def _traversal(rng: random.Random) -> str:
    return rf"(?:\.\./|%2e%2e%2f){{2,}}(?:etc|proc|var|{_name(rng, 1, 2)})/"


def _weakness(rng: random.Random) -> str:
    return rf"CVE-20[12][0-9]-{rng.randint(1000, 49999)}"


def _port(rng: random.Random) -> str:
    return rf"(?:{_some(rng, NOUNS, 2)}) .*\bport (?:{rng.randint(1024, 9999)}|{rng.randint(10000, 65535)})\b"


def _unit(rng: random.Random) -> str:
    return rf"(?:Started|Stopped|Failed) {_name(rng)}[a-z-]*\.(?:service|timer|socket)"


def _code(rng: random.Random) -> str:
    return rf"{_name(rng, 1, 2)}(?:_ERR|_FAULT)?[:= ]+0x[0-9a-f]{{4,8}}\b"


REALISTIC: tuple[tuple[Maker, int], ...] = (
    (_failed_login, 10), (_anchored, 10), (_fetched_script, 7), (_reverse_shell, 5), (_secret_file, 6),
    (_hidden_file, 7), (_tool, 9), (_domain, 9), (_address, 7), (_hash, 6), (_injection, 6), (_traversal, 3),
    (_weakness, 5), (_port, 4), (_unit, 6), (_code, 5),
)  # fmt: skip

# Nothing in them that a search for words could begin with.
WORDLESS = (
    r"\b[0-9a-f]{{{n}}}\b",
    r"\b[A-Za-z0-9+/]{{{n},}}={{0,2}}",
    r"[^\x20-\x7e]{{{n},}}",
    r"(?:\d{{1,3}}\.){{3}}\d{{1,3}}:\d{{{d}}}\b",
    r"\b[A-Z]{{{d}}}[0-9]{{{n}}}\b",
    r"(?:[a-z]\s){{{n},}}",
)
# What keeps many states alive at once.
ENTANGLED: tuple[Maker, ...] = (
    lambda rng: rf"{rng.choice(NOUNS)}.*(?:{_some(rng, VERBS, 3)}).*(?:{_some(rng, USERS, 3)})",
    lambda rng: rf"[a-z]+{_name(rng, 1, 1)}[^ ]{{1,{rng.randint(8, 30)}}}[0-9]{{2,}}",
    lambda rng: (
        rf"(?:{_some(rng, PROGRAMS, 3)}).{{{rng.randint(2, 9)},{rng.randint(20, 60)}}}"
        rf"(?:{_some(rng, NOUNS, 3)})"
    ),
    lambda rng: rf"\b\w+@(?:\w+\.)+{rng.choice(ENDINGS)}.*{_name(rng, 1, 2)}",
)


def _wordless(rng: random.Random) -> str:
    return rng.choice(WORDLESS).format(n=rng.randint(12, 120), d=rng.randint(2, 5))


def _distinct(rng: random.Random, makers: Sequence[tuple[Maker, int]], count: int) -> list[str]:
    chosen, weights = zip(*makers, strict=True)
    found: dict[str, None] = {}
    while len(found) < count:
        found[rng.choices(chosen, weights)[0](rng)] = None
    return list(found)


def realistic(count: int, seed: int) -> list[str]:
    """Patterns as they stand in collections of detection rules; two in a hundred hold no word at all."""
    return _distinct(random.Random(seed), [*REALISTIC, (_wordless, 2)], count)


def hard(count: int, seed: int) -> list[str]:
    """A third with nothing to begin a search with, a third that keeps states alive over the line."""
    makers = [*REALISTIC, (_wordless, 100), *((maker, 30) for maker in ENTANGLED)]
    return _distinct(random.Random(seed), makers, count)


def write(patterns: Sequence[str], field: str, path: Path) -> Path:
    """The patterns as a rule file of the engine's: a rule each, all of them deny."""
    rules: list[dict[str, Any]] = [
        {
            "id": f"bench-{number}",
            "title": f"Pattern {number}",
            "action": "deny",
            "severity": "medium",
            "tags": [],
            "condition": {"field": field, "op": "regex", "value": pattern, "nocase": number % 4 == 0},
        }
        for number, pattern in enumerate(patterns)
    ]
    path.write_text(json.dumps({"format": 1, "rules": rules}))
    return path
