"""Rules as the engine has them: actions, conditions over a line's fields, and the bounds of both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from haechi.rules.hyperscan import why_not
from haechi.rules.pattern import PatternError, check

FORMAT = 1
RULES_MAX = 100_000
PATTERNS_MAX = 1_000_000
DEPTH_MAX = 32
PATTERN_BYTES = 8192
ID_BYTES = 128
TITLE_BYTES = 512
TAGS_MAX = 32
TAG_BYTES = 128

Action = Literal["deny", "allow", "escalate"]
Severity = Literal["low", "medium", "high", "critical"]
ACTIONS: tuple[str, ...] = get_args(Action)
SEVERITIES: tuple[str, ...] = get_args(Severity)

TEXT_FIELDS = ("line", "message", "host", "process", "pid", "session", "source", "template")
NUMBER_FIELDS = {"severity": 7, "facility": 23, "log_key": 2**32 - 2}  # the highest of each
FIELDS = (*TEXT_FIELDS, *NUMBER_FIELDS)
TEXT_OPS = ("contains", "equals", "startswith", "endswith", "regex")
NUMBER_OPS = ("eq", "lt", "lte", "gt", "gte")


class RuleError(ValueError):
    """A rule that cannot be: str() is a sentence, or several, one a line."""


@dataclass(frozen=True, slots=True)
class Test:
    """One field against one value. nocase folds ASCII letters only."""

    __test__ = False  # no test of pytest's

    field: str
    op: str
    value: str | int | bool
    nocase: bool = False

    def as_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"field": self.field, "op": self.op, "value": self.value}
        return {**shown, "nocase": True} if self.nocase else shown


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Expression, ...]

    def as_json(self) -> dict[str, Any]:
        return {"all": [part.as_json() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Any_:  # noqa: N801  (typing has the name without it)
    parts: tuple[Expression, ...]

    def as_json(self) -> dict[str, Any]:
        return {"any": [part.as_json() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Not:
    part: Expression

    def as_json(self) -> dict[str, Any]:
        return {"not": self.part.as_json()}


Expression = Test | All | Any_ | Not


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    condition: Expression
    title: str = ""
    action: Action = "deny"
    severity: Severity = "medium"
    tags: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": self.title or self.id,
            "action": self.action,
            "severity": self.severity,
            "tags": list(self.tags),
            "condition": self.condition.as_json(),
        }


def join_all(parts: Iterable[Expression]) -> Expression:
    """All of the parts; those that are such lists themselves are taken apart, and one part is itself."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, All) else (part,))]
    return flat[0] if len(flat) == 1 else All(tuple(flat))


def join_any(parts: Iterable[Expression]) -> Expression:
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Any_) else (part,))]
    return flat[0] if len(flat) == 1 else Any_(tuple(flat))


def negate(part: Expression) -> Expression:
    return part.part if isinstance(part, Not) else Not(part)


def tests_of(expression: Expression) -> Iterator[Test]:
    """Every test in it, from left to right."""
    waiting: list[Expression] = [expression]
    while waiting:
        at = waiting.pop()
        if isinstance(at, Test):
            yield at
        elif isinstance(at, Not):
            waiting.append(at.part)
        else:
            waiting.extend(reversed(at.parts))


def depth_of(expression: Expression) -> int:
    """A lone test is 1 deep."""
    deepest = 0
    waiting: list[tuple[Expression, int]] = [(expression, 1)]
    while waiting:
        at, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(at, Not):
            waiting.append((at.part, depth + 1))
        elif not isinstance(at, Test):
            waiting.extend((part, depth + 1) for part in at.parts)
    return deepest


def check_test(test: Test) -> None:
    """RuleError where the engine would refuse it: the operator, the value, its length, the pattern."""
    if test.field not in FIELDS:
        raise RuleError(f"{test.field!r} is no field of a line; those are {', '.join(FIELDS)}")
    if test.op == "exists":
        if not isinstance(test.value, bool):
            raise RuleError(f"exists: {test.value!r} is not true or false")
    elif test.field in NUMBER_FIELDS:
        _check_number(test)
    else:
        _check_text(test)


def _check_number(test: Test) -> None:
    highest = NUMBER_FIELDS[test.field]
    if test.op not in NUMBER_OPS:
        raise RuleError(
            f"{test.op} is of no use with the number {test.field}; {', '.join(NUMBER_OPS)} or exists are"
        )
    if isinstance(test.value, bool) or not isinstance(test.value, int) or not 0 <= test.value <= highest:
        raise RuleError(f"{test.op}: {test.value!r:.60} is not a whole number from 0 to {highest}")


def _check_text(test: Test) -> None:
    if test.op not in TEXT_OPS:
        raise RuleError(
            f"{test.op} is of no use with the text {test.field}; {', '.join(TEXT_OPS)} or exists are"
        )
    if not isinstance(test.value, str):
        raise RuleError(f"{test.op}: {test.value!r:.60} is not text; put it in quotes")
    if not test.value:
        raise RuleError(f"{test.op}: an empty text; use exists: false for a field that is not there")
    if (size := _size(test.value)) > PATTERN_BYTES:
        raise RuleError(f"{test.op}: a text of {size} bytes; at most {PATTERN_BYTES} are possible")
    if "\0" in test.value:
        raise RuleError(f"{test.op}: has a zero byte, which no line has")
    if test.op == "regex":
        try:
            check(test.value, nocase=test.nocase)
        except PatternError as error:
            raise RuleError(f"regex: {error}") from None
        if said := why_not(test.value, test.nocase):
            raise RuleError(f"regex: Hyperscan cannot take {test.value!r:.80}: {said.rstrip('.')}")


def check_rule(rule: Rule) -> None:
    """RuleError with the first thing in it that the engine would refuse."""
    if not rule.id or any(c.isspace() or not c.isprintable() for c in rule.id):
        raise RuleError(f"id: {rule.id!r:.60} is not a word of printable characters without blanks")
    if _size(rule.id) > ID_BYTES:
        raise RuleError(f"id: is longer than {ID_BYTES} bytes")
    if _size(rule.title) > TITLE_BYTES or not all(c.isprintable() for c in rule.title):
        raise RuleError(f"title: is not one printable line of at most {TITLE_BYTES} bytes")
    if rule.action not in ACTIONS:
        raise RuleError(f"action: {rule.action!r:.60} is none of {', '.join(ACTIONS)}")
    if rule.severity not in SEVERITIES:
        raise RuleError(f"severity: {rule.severity!r:.60} is none of {', '.join(SEVERITIES)}")
    if len(rule.tags) > TAGS_MAX:
        raise RuleError(f"tags: are {len(rule.tags)}; at most {TAGS_MAX} are possible")
    for tag in rule.tags:
        if not tag or _size(tag) > TAG_BYTES or not tag.isprintable():
            raise RuleError(f"tags: {tag!r:.60} is not a printable text of at most {TAG_BYTES} bytes")
    if (depth := depth_of(rule.condition)) > DEPTH_MAX:
        raise RuleError(f"condition: is nested {depth} deep; at most {DEPTH_MAX} are possible")
    for test in tests_of(rule.condition):
        check_test(test)


def check_rules(rules: Sequence[Rule]) -> None:
    """RuleError where there are too many of them, too many patterns, or two with one id."""
    if len(rules) > RULES_MAX:
        raise RuleError(f"{len(rules)} rules; at most {RULES_MAX} are possible")
    patterns, seen = 0, set[str]()
    for rule in rules:
        patterns += sum(1 for _ in tests_of(rule.condition))
        if rule.id in seen:
            raise RuleError(f"rule {rule.id}: the id is there twice; every rule needs its own")
        seen.add(rule.id)
    if patterns > PATTERNS_MAX:
        raise RuleError(f"{patterns} patterns; at most {PATTERNS_MAX} are possible")


def render(rules: Sequence[Rule]) -> str:
    """The JSON text that the engine reads. The same rules give the same bytes."""
    body = ",\n".join(json.dumps(rule.as_json(), ensure_ascii=False) for rule in rules)
    return f'{{"format": {FORMAT}, "rules": [\n{body}\n]}}\n'


def parse(text: str) -> list[Rule]:
    """The rules of a text that render made, or anybody. RuleError names the rule and what is wrong."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RuleError(f"is not JSON: {error}") from None
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise RuleError(f'is not a rule file of the engine: an object with "format": {FORMAT} is expected')
    entries = data.get("rules")
    if not isinstance(entries, list):
        raise RuleError('"rules" is not a list')
    rules = []
    for index, entry in enumerate(entries):
        try:
            rule = _rule(entry)
            check_rule(rule)
        except RuleError as error:
            name = entry.get("id") if isinstance(entry, Mapping) else None
            raise RuleError(f"rules[{index}] ({name or 'no id'!s:.128}): {error}") from None
        rules.append(rule)
    check_rules(rules)
    return rules


def _rule(entry: Any) -> Rule:
    if not isinstance(entry, Mapping):
        raise RuleError("is not an object")
    known = {"id", "title", "action", "severity", "tags", "condition"}
    if unknown := sorted(set(entry) - known):
        raise RuleError(f"{unknown[0]!r:.60} is no key of a rule")
    tags = entry.get("tags", [])
    texts = [entry.get("id"), entry.get("title", ""), entry.get("action"), entry.get("severity", "medium")]
    if not isinstance(tags, list) or not all(isinstance(text, str) for text in [*texts, *tags]):
        raise RuleError("id, title, action, severity are not texts, or tags is not a list of texts")
    return Rule(
        id=entry["id"],
        title=entry.get("title", ""),
        action=entry["action"],
        severity=entry.get("severity", "medium"),
        tags=tuple(tags),
        condition=_expression(entry.get("condition"), 1),
    )


def _expression(data: Any, depth: int) -> Expression:
    if depth > DEPTH_MAX:
        raise RuleError(f"condition: is nested deeper than {DEPTH_MAX}")
    if not isinstance(data, Mapping):
        raise RuleError("condition: is not an object with all, any, not or field")
    keys = set(data)
    for name, kind in (("all", All), ("any", Any_)):
        if keys == {name}:
            parts = data[name]
            if not isinstance(parts, list) or not parts:
                raise RuleError(f"condition: {name} is not a list of conditions")
            return kind(tuple(_expression(part, depth + 1) for part in parts))
    if keys == {"not"}:
        return Not(_expression(data["not"], depth + 1))
    if not {"field", "op", "value"} <= keys <= {"field", "op", "value", "nocase"}:
        raise RuleError(f"condition: {sorted(keys)!s:.80} are not all, any, not, or field, op, value, nocase")
    if not isinstance(data.get("nocase", False), bool):
        raise RuleError("condition: nocase is not true or false")
    if not isinstance(data["field"], str) or not isinstance(data["op"], str):
        raise RuleError("condition: field and op are not texts")
    return Test(data["field"], data["op"], data["value"], data.get("nocase", False))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
