"""The user's rule file: YAML as people write it down, to rules. configs/rules.yaml shows every form of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from haechi.rules.expression import (
    ACTIONS,
    DEPTH_MAX,
    FIELDS,
    NUMBER_FIELDS,
    NUMBER_OPS,
    PATTERNS_MAX,
    TEXT_OPS,
    Action,
    Expression,
    Not,
    Rule,
    RuleError,
    Severity,
    Test,
    check_rule,
    check_rules,
    check_test,
    join_all,
    join_any,
)
from haechi.storm.document import ProfileError, Source, read_yaml
from haechi.storm.model import FACILITIES, SEVERITIES

MISTAKES_SHOWN = 50

Place = tuple[str | int, ...]

# Where a bare text is looked for, and whether A and a are the same: sentences are searched through and
# written in any case; names and numbers are meant as a whole. Host names have no case (RFC 4343).
_CONTAINS = frozenset({"line", "message", "template"})
_NOCASE = frozenset({"line", "message", "template", "host"})
_NAMES = {"severity": SEVERITIES, "facility": FACILITIES}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class RuleEntry(BaseModel):
    """A rule as it stands in the file: exactly one of deny, allow, escalate, with its condition."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    actions: ClassVar[tuple[str, ...]] = ACTIONS

    id: str = Field(min_length=1)
    title: str = ""
    severity: Severity = "medium"
    tags: Annotated[list[str], BeforeValidator(_listed)] = []
    deny: Any = None
    allow: Any = None
    escalate: Any = None


class ConditionError(RuleError):
    """A mistake within a rule, and the place of it below the rule."""

    def __init__(self, place: Place, sentence: str) -> None:
        super().__init__(sentence)
        self.place = place


class _Reader:
    """Conditions to expressions. It counts tests, because YAML's aliases can make a short text a huge tree;
    a condition without a test is a mistake, so that bounds conditions as well."""

    def __init__(self) -> None:
        self.seen = 0

    def condition(self, data: Any, place: Place, depth: int = 1) -> Expression:
        if depth > DEPTH_MAX:
            raise ConditionError(place, f"is nested deeper than {DEPTH_MAX}")
        if isinstance(data, Mapping):
            parts = [self.entry(key, value, (*place, str(key)), depth) for key, value in data.items()]
            return join_all(self.some(parts, place))
        if isinstance(data, list):
            items = enumerate(data)
            return join_any(self.some([self.condition(v, (*place, i), depth + 1) for i, v in items], place))
        return self.test("message", None, data, None, place)  # a text alone is a keyword

    def entry(self, key: Any, value: Any, place: Place, depth: int) -> Expression:
        if key == "not":
            return Not(self.condition(value, place, depth + 1))
        if key in ("all", "any"):
            if not isinstance(value, list):
                raise ConditionError(place, "is not a list of conditions, each after a dash")
            parts = [self.condition(part, (*place, i), depth + 1) for i, part in enumerate(value)]
            return (join_all if key == "all" else join_any)(self.some(parts, place))
        if key not in FIELDS:
            known = ", ".join(("all", "any", "not", *FIELDS))
            raise ConditionError(place, f"is none of {known}")
        return self.field(str(key), value, place)

    def field(self, field: str, value: Any, place: Place) -> Expression:
        """A field with a value, a list of them (any), or operators with such values (all of those)."""
        if not isinstance(value, Mapping):
            return self.values(field, None, value, None, place)
        nocase = value.get("nocase")
        if nocase is not None and (not isinstance(nocase, bool) or field in NUMBER_FIELDS):
            raise ConditionError((*place, "nocase"), "is true or false, for a text")
        parts = [
            self.operator(field, str(op), operand, nocase, (*place, str(op)))
            for op, operand in value.items()
            if op != "nocase"
        ]
        return join_all(self.some(parts, place))

    def operator(self, field: str, op: str, value: Any, nocase: bool | None, place: Place) -> Expression:
        if op == "contains_all":
            if not isinstance(value, list):
                raise ConditionError(place, "is not a list of texts")
            parts = [self.test(field, "contains", v, nocase, (*place, i)) for i, v in enumerate(value)]
            return join_all(self.some(parts, place))
        known = (*(NUMBER_OPS if field in NUMBER_FIELDS else (*TEXT_OPS, "contains_all", "nocase")), "exists")
        if op not in known:
            raise ConditionError(place, f"is no operator of {field}; those are {', '.join(known)}")
        return self.values(field, op, value, nocase, place)

    def values(self, field: str, op: str | None, value: Any, nocase: bool | None, place: Place) -> Expression:
        if not isinstance(value, list):
            return self.test(field, op, value, nocase, place)
        parts = [self.test(field, op, v, nocase, (*place, i)) for i, v in enumerate(value)]
        return join_any(self.some(parts, place))

    def test(self, field: str, op: str | None, value: Any, nocase: bool | None, place: Place) -> Expression:
        self.seen += 1
        if self.seen > PATTERNS_MAX:
            raise ConditionError(place, f"is the end: more than {PATTERNS_MAX} patterns in one file")
        if field in NUMBER_FIELDS:
            op = op or "eq"
            names = _NAMES.get(field, ())
            value = names.index(value) if value in names else value
        else:
            op = op or ("contains" if field in _CONTAINS else "equals")
            if field == "pid" and isinstance(value, int) and not isinstance(value, bool) and op != "exists":
                value = str(value)  # what stands in a log as digits may stand so in the file
        of_field = field in _NOCASE and op != "regex"
        fold = op in TEXT_OPS and (of_field if nocase is None else nocase)
        made = Test(field, op, value, nocase=fold)
        try:
            check_test(made)
        except RuleError as error:
            raise ConditionError(place, str(error).removeprefix(f"{place[-1]}: ")) from None
        return made

    @staticmethod
    def some(parts: list[Expression], place: Place) -> list[Expression]:
        if not parts:
            raise ConditionError(place, "is empty; a condition, a value or a list of them is expected")
        return parts


def parse(text: str, name: str) -> list[Rule]:
    """The rules of a rule file's text; name stands for the file. RuleError with every mistake (the first of
    each rule), a line each: file, line, rule, key, what was expected."""
    try:
        source = read_yaml(text, name)
    except ProfileError as error:
        raise RuleError(str(error)) from None
    if doubles := source.doubles():
        raise RuleError("\n".join(doubles[:MISTAKES_SHOWN]))
    prefix, entries = _entries(source)
    reader, rules, mistakes = _Reader(), list[Rule](), list[str]()
    for index, entry in enumerate(entries):
        place = (*prefix, index)
        try:
            rules.append(_rule(entry, reader))
        except ConditionError as error:
            mistakes.append(_sentence(source, place, entry, error.place, str(error)))
        except ValidationError as error:
            first = error.errors()[0]
            mistakes.append(_sentence(source, place, entry, first["loc"], _words(first)))
        except RuleError as error:
            mistakes.append(_sentence(source, place, entry, (), str(error)))
        if len(mistakes) >= MISTAKES_SHOWN:
            mistakes.append(f"{name}: there may be more mistakes; the first {MISTAKES_SHOWN} are shown")
            break
    if mistakes:
        raise RuleError("\n".join(mistakes))
    try:
        check_rules(rules)
    except RuleError as error:
        raise RuleError(f"{name}: {error}") from None
    return rules


def _entries(source: Source) -> tuple[Place, list[Any]]:
    """The list of rules and where it stands: the file is the list, or holds it under `rules`."""
    data = source.data
    if isinstance(data, list):
        return (), data
    if isinstance(data, Mapping) and set(data) == {"rules"} and isinstance(data["rules"], list | None):
        return ("rules",), data["rules"] or []
    if data is None:
        return (), []
    raise RuleError(f"{source.name}: is not a list of rules, each after a dash, nor such a list under rules:")


def _rule(data: Any, reader: _Reader) -> Rule:
    if not isinstance(data, Mapping):
        raise RuleError("is not a rule: keys with values, such as id and deny, are expected")
    entry = RuleEntry.model_validate(dict(data))
    named = [action for action in RuleEntry.actions if action in data]
    if len(named) != 1:
        which = " and ".join(named) + " are" if named else "none is"
        raise RuleError(f"exactly one of {', '.join(ACTIONS)} is expected, with its condition; {which} there")
    action: Action = named[0]  # type: ignore[assignment]
    rule = Rule(
        id=entry.id,
        title=entry.title,
        action=action,
        severity=entry.severity,
        tags=tuple(entry.tags),
        condition=reader.condition(getattr(entry, action), (action,)),
    )
    check_rule(rule)
    return rule


def _sentence(source: Source, place: Place, entry: Any, below: Place, sentence: str) -> str:
    """file:line: rule ID: key: what was expected."""
    line = source.fail((*place, *below), "").split(": ", 1)[0]
    given = entry.get("id") if isinstance(entry, Mapping) else None
    who = f"rule {given:.128}" if isinstance(given, str) and given else f"rule {place[-1]} (from 0)"
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in below).lstrip(".")
    return f"{line}: {who}: {key + ': ' if key else ''}{sentence}"


def _words(error: Any) -> str:
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return f"is no key of a rule; those are {', '.join(RuleEntry.model_fields)}"
        case "literal_error":
            return f"{error['input']!r:.60} is none of {error['ctx']['expected']}"
        case "string_type":
            return f"{error['input']!r:.60} is not text; put it in quotes"
    return f"{error['msg'][0].lower()}{error['msg'][1:]} (it is {error['input']!r:.60})"
