"""What a rule means: the reference that the engine is held to, slow and plain.

A line is its fields, as bytes. A text field that a line does not have, or has empty, is not there: every
test of it but `exists: false` is false, and so is every comparison of a number that is not there.
`contains`, `equals`, `startswith` and `endswith` compare bytes; `nocase` folds A-Z with a-z and nothing else.

Where Python's re cannot be Hyperscan: an expression is translated (haechi.rules.pattern), and what one of the
two does not know is refused there. Hyperscan reports every end of a match and re the leftmost one, so only
whether there is a match is comparable, which is all that a rule asks. re backtracks: a pattern such as
(a+)+b may take it exponential time on a line that Hyperscan is done with at once, so the reference is for
tests and for `haechi rules test`, never for a stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from haechi.rules.expression import Action, All, Any_, Expression, Not, Rule, Test
from haechi.rules.pattern import compile_bytes

# Which rule has the last word on a line that several fit: what is known to be harmless is let pass, then
# what must not be is reported, then the model is asked whatever it has answered before.
PRECEDENCE: tuple[Action, ...] = ("allow", "deny", "escalate")


@dataclass(frozen=True)
class Line:
    """What rules see of a line."""

    texts: Mapping[str, bytes] = field(default_factory=dict)
    numbers: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What the rules say to a line: the action (None: nothing, stage two goes on), and all that fit, in the
    order of the rules."""

    action: Action | None
    matched: tuple[Rule, ...]


def judge(rules: Sequence[Rule], line: Line) -> Verdict:
    matched = tuple(rule for rule in rules if fits(rule.condition, line))
    actions = {rule.action for rule in matched}
    return Verdict(next((action for action in PRECEDENCE if action in actions), None), matched)


def fits(expression: Expression, line: Line) -> bool:
    if isinstance(expression, Test):
        return _test(expression, line)
    if isinstance(expression, All):
        return all(fits(part, line) for part in expression.parts)
    if isinstance(expression, Any_):
        return any(fits(part, line) for part in expression.parts)
    assert isinstance(expression, Not)
    return not fits(expression.part, line)


def _test(test: Test, line: Line) -> bool:
    text, number = line.texts.get(test.field, b""), line.numbers.get(test.field)
    there = bool(text) or number is not None
    if test.op == "exists":
        return there == test.value
    if not there:
        return False
    if number is not None:
        assert isinstance(test.value, int)
        return _compare(test.op, number, test.value)
    assert isinstance(test.value, str)
    if test.op == "regex":
        return compile_bytes(test.value, test.nocase).search(text) is not None
    wanted = test.value.encode("utf-8", "surrogatepass")
    if test.nocase:
        text, wanted = text.lower(), wanted.lower()  # of bytes: ASCII's letters alone
    return _find(test.op, text, wanted)


def _find(op: str, text: bytes, wanted: bytes) -> bool:
    match op:
        case "contains":
            return wanted in text
        case "equals":
            return text == wanted
        case "startswith":
            return text.startswith(wanted)
        case _:
            return text.endswith(wanted)


def _compare(op: str, number: int, bound: int) -> bool:
    match op:
        case "eq":
            return number == bound
        case "lt":
            return number < bound
        case "lte":
            return number <= bound
        case "gt":
            return number > bound
        case _:
            return number >= bound
