"""The engine against the reference (haechi.rules.evaluate): random rules and lines, every hit the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from haechi.rules.evaluate import fits
from haechi.rules.expression import All, Any_, Expression, Not, Rule, Test, render
from haechi.rules.lines import read_lines
from tests.integration.engine_room import judge, log_line

LINES, RULES = 1500, 14  # at most 16 rules report a line
WORDS = ("open", "request", "user", "root", "port", "key", "deadbeef", "7", "10.0.", "SHA256:")
PATTERNS = (
    r"port (?:22|443)\b", r"\b10\.0\.\d{1,3}\.1\d?\b", r"\b[0-9a-f]{12,}\b", r"[A-Za-z0-9+/]{16,}=",
    r"^open .*[0-9]$", r"(?i)USER[0-9]+ ", r"[^3]9$", r"\b[0-9a-f]{5}7[0-9a-f]{6}", r"[^\x20-\x7e]{2,}",
    r"root|7{2}", r"\D7\D", r"(?:[a-z]\s){2}", r"user.*port (?:22|44)\d", r"port\d* (?:root|key)4\d\d",
    r"root(?:111|222|333|44[0-9])", r"user.*(?:100|200|300|400|411)", r"(?:port|open)(?:123|234)?.*\b256\b",
)  # fmt: skip


def message(draw: random.Random) -> str:
    parts = [
        draw.choice(WORDS) + draw.choice(("", str(draw.randrange(500)))) for _ in range(draw.randint(1, 6))
    ]
    if draw.random() < 0.3:
        parts.append(f"10.0.{draw.randrange(256)}.{draw.randrange(20)}")
    if draw.random() < 0.3:
        parts.append("".join(draw.choice("0123456789abcdef") for _ in range(draw.randint(10, 24))))
    if draw.random() < 0.1:
        parts.append("\u00e9" * draw.randint(1, 3) + "x" * 250 * draw.randrange(2))
    return draw.choice((" ", " ", "=")).join(parts)


def field_test(draw: random.Random) -> Test:
    field = draw.choice(("message", "message", "message", "line", "host", "pid"))
    if field == "host":
        return Test("host", "equals", draw.choice(("WEB1", "web2")), nocase=True)
    if field == "pid":
        return Test("pid", draw.choice(("endswith", "startswith", "equals")), str(draw.randrange(10)))
    if draw.random() < 0.6:
        return Test(field, "regex", draw.choice(PATTERNS), nocase=draw.random() < 0.3)
    op = draw.choice(("contains", "contains", "startswith", "endswith"))
    return Test(
        field, op, draw.choice(WORDS) + draw.choice(("", str(draw.randrange(9)))), draw.random() < 0.5
    )


def expression(draw: random.Random, depth: int = 0) -> Expression:
    kind = draw.random() if depth < 2 else 1.0
    if kind < 0.25:
        return All((expression(draw, depth + 1), expression(draw, depth + 1)))
    if kind < 0.45:
        return Any_((expression(draw, depth + 1), expression(draw, depth + 1)))
    if kind < 0.55:
        return Not(expression(draw, depth + 1))
    return field_test(draw)


def expected(rules: Sequence[Rule], log: Path) -> Counter[tuple[str, str]]:
    hits: Counter[tuple[str, str]] = Counter()
    for text, line in read_lines(log.read_bytes(), format_spec="iso", source=str(log)):
        hits.update((r.id, text.decode()) for r in rules if fits(r.condition, line))
    return hits


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_engine_and_reference_agree(seed: int, engine_bundle: Path, tmp_path: Path) -> None:
    draw = random.Random(seed)
    log, file = tmp_path / "app.log", tmp_path / "rules.json"
    log.write_text(
        "".join(
            log_line(n * 0.01, n % 20, f"{message(draw)} {n}", host=draw.choice(("web1", "web2")))
            for n in range(LINES)
        )
    )
    rules = [Rule(f"r{n}", expression(draw)) for n in range(RULES)]
    file.write_text(render(rules))
    done = judge(engine_bundle, tmp_path / "run", [log], rules=str(file))
    assert done.status == 0, done.stderr
    got = Counter((a["rule"], a["lines"][0]["text"]) for a in done.alerts if a["detector"] == "rule")
    want = expected(rules, log)
    assert sum(want.values()) > LINES
    assert done.totals["rule_hits_deny"] == sum(want.values())
    assert not want - got, f"the engine misses {list(want - got)[:3]}"
    assert not got - want, f"the engine has besides {list(got - want)[:3]}"
