"""The user's rule file: what each form means, and a sentence with file, line, rule, key for each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from haechi.rules import rulefile
from haechi.rules.evaluate import Line, fits, judge
from haechi.rules.expression import (
    DEPTH_MAX,
    NUMBER_FIELDS,
    All,
    Any_,
    Not,
    Rule,
    RuleError,
    Test,
    check_rules,
    parse,
    render,
)
from haechi.rules.load import load
from haechi.rules.pattern import compile_bytes

EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "rules.yaml"


def only(condition: str) -> Any:
    return rulefile.parse(f"- {{id: a, deny: {condition}}}", "r.yaml")[0].condition


MEANS = [
    ("kernel panic", Test("message", "contains", "kernel panic", True)),
    ("[a, b]", Any_((Test("message", "contains", "a", True), Test("message", "contains", "b", True)))),
    ("{host: web1}", Test("host", "equals", "web1", True)),
    ("{process: sshd}", Test("process", "equals", "sshd")),
    ("{pid: 17}", Test("pid", "equals", "17")),
    ("{line: x}", Test("line", "contains", "x", True)),
    ("{template: x}", Test("template", "contains", "x", True)),
    ("{message: {contains: x, nocase: false}}", Test("message", "contains", "x")),
    ("{process: {startswith: ngi, nocase: true}}", Test("process", "startswith", "ngi", True)),
    ("{message: {regex: 'a+b'}}", Test("message", "regex", "a+b")),
    ("{message: {regex: 'a+b', nocase: true}}", Test("message", "regex", "a+b", True)),
    ("{severity: 3}", Test("severity", "eq", 3)),
    ("{severity: {lte: err}}", Test("severity", "lte", 3)),
    ("{facility: authpriv}", Test("facility", "eq", 10)),
    ("{log_key: [1, 2]}", Any_((Test("log_key", "eq", 1), Test("log_key", "eq", 2)))),
    ("{severity: {gte: 1, lt: 4}}", All((Test("severity", "gte", 1), Test("severity", "lt", 4)))),
    ("{pid: {exists: false}}", Test("pid", "exists", False)),
    ("{log_key: {exists: true}}", Test("log_key", "exists", True)),
    ("{process: a, host: b}", All((Test("process", "equals", "a"), Test("host", "equals", "b", True)))),
    (
        "{message: {contains_all: [a, b]}}",
        All((Test("message", "contains", "a", True), Test("message", "contains", "b", True))),
    ),
    ("{not: {process: a}}", Not(Test("process", "equals", "a"))),
    (
        "{all: [{process: a}, {any: [{pid: 1}, b]}]}",
        All(
            (
                Test("process", "equals", "a"),
                Any_((Test("pid", "equals", "1"), Test("message", "contains", "b", True))),
            )
        ),
    ),
]


@pytest.mark.parametrize(("written", "want"), MEANS, ids=[written for written, _ in MEANS])
def test_what_a_condition_means(written: str, want: object) -> None:
    assert only(written) == want


BROKEN = [
    ("3", "r.yaml: is not a list of rules"),
    ("rule: []", "r.yaml: is not a list of rules"),
    ("- a", "r.yaml:1: rule 0 (from 0): is not a rule"),
    ("- {deny: x}", "r.yaml:1: rule 0 (from 0): id: is missing"),
    ("- {id: 7, deny: x}", "id: 7 is not text; put it in quotes"),
    ("- {id: a b, deny: x}", "rule a b: id: 'a b' is not a word"),
    (f"- {{id: {'x' * 129}, deny: x}}", "id: is longer than 128 bytes"),
    (
        "- {id: a}",
        "rule a: exactly one of deny, allow, escalate is expected, with its condition; none is there",
    ),
    ("- {id: a, deny: x, allow: y}", "deny and allow are there"),
    ("- {id: a, deny: x, level: high}", "rule a: level: is no key of a rule; those are id, title"),
    ("- {id: a, deny: x, severity: urgent}", "severity: 'urgent' is none of 'low', 'medium', 'high' or"),
    ("- {id: a, deny: x, tags: [1]}", "tags[0]: 1 is not text"),
    (f"- {{id: a, deny: x, title: {'t' * 513}}}", "title: is not one printable line of at most 512 bytes"),
    (
        "- id: a\n  deny:\n    mesage: x",
        "r.yaml:3: rule a: deny.mesage: is none of all, any, not, line, message",
    ),
    (
        "- {id: a, deny: {message: {has: x}}}",
        "deny.message.has: is no operator of message; those are contains",
    ),
    ("- {id: a, deny: {severity: {contains: x}}}", "is no operator of severity; those are eq, lt"),
    ("- {id: a, deny: {severity: 8}}", "deny.severity: eq: 8 is not a whole number from 0 to 7"),
    ("- {id: a, deny: {severity: {lte: grave}}}", "deny.severity.lte: 'grave' is not a whole number"),
    ("- {id: a, deny: {severity: true}}", "True is not a whole number"),
    ("- {id: a, deny: {severity: {nocase: true, eq: 1}}}", "severity.nocase: is true or false, for a text"),
    ("- {id: a, deny: {message: {contains: x, nocase: 1}}}", "nocase: is true or false, for a text"),
    ("- {id: a, deny: {message: {nocase: true}}}", "deny.message: is empty"),
    ("- {id: a, deny: {message: 5}}", "contains: 5 is not text; put it in quotes"),
    ("- {id: a, deny: {message: ''}}", "an empty text; use exists: false"),
    ("- {id: a, deny: {pid: {exists: 1}}}", "deny.pid.exists: 1 is not true or false"),
    ("- {id: a, deny: {message: {contains_all: x}}}", "deny.message.contains_all: is not a list of texts"),
    ("- {id: a, deny: {all: {message: x}}}", "deny.all: is not a list of conditions"),
    ("- {id: a, deny: {any: []}}", "deny.any: is empty"),
    ("- {id: a, deny: {}}", "deny: is empty"),
    ("- {id: a, deny: []}", "deny: is empty"),
    ("- {id: a, deny: {any: [{message: x}, {message: []}]}}", "deny.any[1].message: is empty"),
    (
        "- {id: a, deny: {message: {regex: '(?<=a)b'}}}",
        "deny.message.regex: look-behind (?<=...) is not possible",
    ),
    (f"- {{id: a, deny: {{message: {'x' * 8193}}}}}", "a text of 8193 bytes; at most 8192 are possible"),
    ('- {id: a, deny: {message: "\\0"}}', "has a zero byte"),
    ("- {id: a, deny: " + "{not: " * 40 + "x" + "}" * 40 + "}", "nested too deeply"),
    ("- {id: a, deny: x}\n- {id: a, deny: y}", "r.yaml: rule a: the id is there twice"),
    ("- id: a\n  id: b\n  deny: x", "r.yaml:2: id: is there twice"),
    ("- [", "r.yaml:2: not YAML"),
]


@pytest.mark.parametrize(("text", "sentence"), BROKEN, ids=[text[:50] for text, _ in BROKEN])
def test_broken_files(text: str, sentence: str) -> None:
    with pytest.raises(RuleError) as refused:
        rulefile.parse(text, "r.yaml")
    assert sentence in str(refused.value)
    assert str(refused.value).startswith("r.yaml:")


def test_every_broken_rule_is_named_up_to_a_bound() -> None:
    with pytest.raises(RuleError) as refused:
        rulefile.parse("".join(f"- {{id: r{n}, deny: {{}}}}\n" for n in range(60)), "r.yaml")
    lines = str(refused.value).splitlines()
    assert len(lines) == 51
    assert lines[9].startswith("r.yaml:10: rule r9: deny:")
    assert lines[-1] == "r.yaml: there may be more mistakes; the first 50 are shown"


def test_a_short_text_that_is_a_huge_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulefile, "PATTERNS_MAX", 10_000)  # the bound's own size takes ten seconds
    text = "- id: a\n  deny: &x0 {message: x}\n"
    text += "".join(
        f"- id: a{n}\n  deny: &x{n} {{all: [{', '.join([f'*x{n - 1}'] * 10)}]}}\n" for n in range(1, 12)
    )
    with pytest.raises(RuleError, match="more than 10000 patterns"):
        rulefile.parse(text, "r.yaml")


def test_the_list_may_stand_under_rules_and_be_empty() -> None:
    assert rulefile.parse("rules:\n- {id: a, deny: x}", "r") == rulefile.parse("- {id: a, deny: x}", "r")
    assert rulefile.parse("", "r") == rulefile.parse("rules:", "r") == []


def test_the_example_and_what_it_finds() -> None:
    loaded = load([EXAMPLE])
    assert parse(render(loaded.rules)) == [
        Rule(r.id, r.condition, r.title or r.id, r.action, r.severity, r.tags) for r in loaded.rules
    ]
    line = Line(
        {"process": b"sshd", "message": b"Accepted password for root from 192.0.2.7"}, {"severity": 6}
    )
    verdict = judge(loaded.rules, line)
    assert (verdict.action, [rule.id for rule in verdict.matched]) == ("deny", ["ssh_root"])
    calm = Line({"process": b"sshd", "message": b"Connection closed by 192.0.2.10", "pid": b"1"})
    assert judge(loaded.rules, calm).action == "allow"
    assert judge(loaded.rules, Line({"message": b"nothing"})).action is None


def test_which_action_has_the_last_word() -> None:
    rules = [Rule(a, Test("message", "contains", a[0]), action=a) for a in ("escalate", "deny", "allow")]
    for message, want in ((b"e", "escalate"), (b"ed", "deny"), (b"eda", "allow"), (b"x", None)):
        assert judge(rules, Line({"message": message})).action == want


TRUE_FALSE = [
    (Test("host", "contains", "x"), Line(), False),
    (Test("host", "contains", "x"), Line({"host": b""}), False),
    (Test("host", "exists", False), Line({"host": b""}), True),
    (Test("host", "exists", True), Line({"host": b"h"}), True),
    (Not(Test("host", "contains", "x")), Line(), True),
    (Test("severity", "lt", 8), Line(numbers={"severity": None}), False),
    (Test("severity", "exists", False), Line(numbers={"severity": None}), True),
    (Test("severity", "exists", True), Line(numbers={"severity": 0}), True),
    (Test("severity", "gt", 3), Line(numbers={"severity": 3}), False),
    (Test("severity", "gte", 3), Line(numbers={"severity": 3}), True),
    (Test("message", "equals", "é", True), Line({"message": "É".encode()}), False),
    (Test("message", "equals", "É x", True), Line({"message": "É X".encode()}), True),
    (Test("message", "endswith", "x"), Line({"message": b"\xff\xfex"}), True),
    (Test("message", "regex", "^a.c$"), Line({"message": b"a\xffc"}), True),
]


@pytest.mark.parametrize(("expression", "line", "want"), TRUE_FALSE)
def test_what_is_not_there_and_what_is_no_ascii(expression: Any, line: Line, want: bool) -> None:
    assert fits(expression, line) is want


JSON_BROKEN = [
    ("[", "is not JSON"),
    ("[]", 'an object with "format": 1 is expected'),
    ('{"format": 2, "rules": []}', 'an object with "format": 1 is expected'),
    ('{"format": 1, "rules": {}}', '"rules" is not a list'),
    ('{"format": 1, "rules": [3]}', "rules[0] (no id): is not an object"),
    ('{"format": 1, "rules": [{"id": "a", "action": "deny", "x": 1}]}', "rules[0] (a): 'x' is no key"),
    ('{"format": 1, "rules": [{"id": "a"}]}', "are not texts"),
]


@pytest.mark.parametrize(("text", "sentence"), JSON_BROKEN)
def test_broken_json(text: str, sentence: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse(text)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("null", "condition: is not an object"),
        ('{"all": []}', "all is not a list of conditions"),
        ('{"all": [], "any": []}', "are not all, any, not, or field"),
        ('{"field": "x", "op": "eq", "value": 1}', "'x' is no field of a line"),
        ('{"field": "host", "op": "eq", "value": 1}', "eq is of no use with the text host"),
        ('{"field": "severity", "op": "contains", "value": "x"}', "contains is of no use with the number"),
        ('{"field": "host", "op": "equals", "value": "x", "nocase": 1}', "nocase is not true or false"),
        ('{"not": ' * 40 + "1" + "}" * 40, f"is nested deeper than {DEPTH_MAX}"),
    ],
)
def test_broken_conditions_of_json(condition: str, sentence: str) -> None:
    whole = f'{{"format": 1, "rules": [{{"id": "a", "action": "deny", "condition": {condition}}}]}}'
    with pytest.raises(RuleError) as refused:
        parse(whole)
    assert sentence in str(refused.value)


def test_too_many() -> None:
    one = Test("host", "equals", "h")
    with pytest.raises(RuleError, match="100001 rules; at most 100000"):
        check_rules([Rule("r", one)] * 100_001)
    with pytest.raises(RuleError, match="1000001 patterns; at most 1000000"):
        check_rules([Rule("r", All((one,) * 1_000_001))])


# --- YAML -> JSON -> the reference, against what the YAML's own structure says

ALPHABET = "abAB1 é"
TEXTS = st.text(ALPHABET, min_size=1, max_size=3)
PATTERNS = st.lists(
    st.sampled_from(["a", "B", ".", "[ab]", "(?:a|1)", "b+", "\\d", "1?"]), min_size=1, max_size=4
)
SEARCHED = ("line", "message", "template")
WHOLE = ("host", "process", "session", "source")


def a_test() -> st.SearchStrategy[Any]:
    field = st.sampled_from([*SEARCHED, *WHOLE])
    values = st.one_of(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
    ops = st.dictionaries(
        st.sampled_from(["contains", "equals", "startswith", "endswith"]), values, min_size=1, max_size=2
    )
    cased = st.tuples(ops, st.booleans()).map(lambda both: {**both[0], "nocase": both[1]})
    regex = PATTERNS.map("".join).filter(_finds_something).map(lambda pattern: {"regex": pattern})
    exists = st.booleans().map(lambda there: {"exists": there})
    number = st.dictionaries(
        st.sampled_from(["severity", "facility"]),
        st.dictionaries(st.sampled_from(["eq", "lt", "lte", "gt", "gte"]), st.integers(0, 7), min_size=1),
        min_size=1,
    )
    text = st.dictionaries(field, st.one_of(values, ops, cased, regex, exists), min_size=1, max_size=2)
    return st.one_of(TEXTS, text, number)


def _finds_something(pattern: str) -> bool:
    try:
        compile_bytes(pattern)
    except ValueError:
        return False
    return True


def conditions() -> st.SearchStrategy[Any]:
    return st.recursive(
        a_test(),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3),
            st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"not": inner}),
        ),
        max_leaves=8,
    )


LINES = st.builds(
    Line,
    st.dictionaries(
        st.sampled_from([*SEARCHED, *WHOLE]), st.text(ALPHABET, max_size=6).map(str.encode), max_size=7
    ),
    st.dictionaries(st.sampled_from(["severity", "facility"]), st.none() | st.integers(0, 7), max_size=2),
)


def says(data: Any, line: Line) -> bool:
    """The condition as it stands in the file, straight from the manual."""
    if isinstance(data, str):
        return text_says("message", "contains", data, None, line)
    if isinstance(data, list):
        return any(says(part, line) for part in data)
    return all(key_says(key, value, line) for key, value in data.items())


def key_says(key: str, value: Any, line: Line) -> bool:
    if key == "all":
        return all(says(part, line) for part in value)
    if key == "any":
        return any(says(part, line) for part in value)
    if key == "not":
        return not says(value, line)
    if not isinstance(value, dict):
        op = "contains" if key in SEARCHED else "equals"
        return text_says(key, op, value, None, line)
    nocase = value.get("nocase")
    return all(text_says(key, op, wanted, nocase, line) for op, wanted in value.items() if op != "nocase")


def text_says(field: str, op: str, wanted: Any, nocase: bool | None, line: Line) -> bool:
    if isinstance(wanted, list):
        return any(text_says(field, op, each, nocase, line) for each in wanted)
    if field in NUMBER_FIELDS:
        have = line.numbers.get(field)
        compare = {"eq": "__eq__", "lt": "__lt__", "lte": "__le__", "gt": "__gt__", "gte": "__ge__"}[op]
        return have is not None and bool(getattr(have, compare)(wanted))
    text = line.texts.get(field, b"")
    if op == "exists":
        return bool(text) is bool(wanted)
    if op == "regex":
        return bool(text) and compile_bytes(wanted).search(text) is not None
    needle = wanted.encode()
    if nocase if nocase is not None else field in (*SEARCHED, "host"):
        fold = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")
        text, needle = text.translate(fold), needle.translate(fold)
    compared = {
        "contains": needle in text,
        "equals": needle == text,
        "startswith": text[: len(needle)] == needle,
        "endswith": text[-len(needle) :] == needle,
    }
    return bool(text) and bool(compared[op])


@settings(max_examples=200, deadline=None)
@given(conditions(), st.lists(LINES, min_size=1, max_size=5))
def test_yaml_to_json_to_the_reference_says_what_the_file_says(data: Any, lines: list[Line]) -> None:
    text = yaml.safe_dump([{"id": "r", "deny": data}], allow_unicode=True)
    rules = parse(render(rulefile.parse(text, "r.yaml")))
    for line in lines:
        assert (judge(rules, line).action == "deny") is says(data, line)
