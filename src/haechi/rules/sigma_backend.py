"""A pySigma backend whose queries are conditions of this engine."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, ClassVar, NoReturn, cast

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.conversion.base import Backend
from sigma.conversion.state import ConversionState
from sigma.exceptions import SigmaFeatureNotSupportedByBackendError
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RegexEngine, RegexPattern
from sigma.types import (
    CompareOperators,
    Placeholder,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SpecialChars,
)

from haechi.rules.expression import (
    NUMBER_FIELDS,
    Expression,
    Test,
    join_all,
    join_any,
    negate,
)
from haechi.rules.pattern import PatternError, translate
from haechi.rules.sigma_pipeline import WITHIN

FieldValue = ConditionFieldEqualsValueExpression

_PROGRAM = re.compile(r"[A-Za-z][A-Za-z0-9_.@/-]*")
_META = frozenset(".^$*+?{}[]()|\\")
_ANY_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_COMPARE = {
    CompareOperators.LT: "lt",
    CompareOperators.LTE: "lte",
    CompareOperators.GT: "gt",
    CompareOperators.GTE: "gte",
}


class _EngineRegex(RegexEngine):
    """Expressions are checked by what this engine takes, while a rule is read. pySigma also uses it for the
    names in `1 of selection*`, which it matches itself, as text."""

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        return cast(RegexPattern, re.compile(translate(pattern), flags))

    @property
    def error(self) -> type[Exception]:
        return PatternError


# A rule names neither files nor templates of its own: nothing but its text is looked at.
POLICY = SigmaPolicy(regex_engine=_EngineRegex())


class HaechiBackend(Backend):
    """Each condition of a rule becomes an Expression. What cannot be expressed raises a SigmaError whose text
    says why, in words for the rule's author."""

    name: ClassVar[str] = "haechi"
    explicit_not_exists_expression: ClassVar[bool] = True
    formats: ClassVar[dict[str, str]] = {"default": "conditions of haechi's first stage"}

    def convert_condition_or(self, cond: ConditionOR, state: ConversionState) -> Expression:
        return join_any(self.convert_condition(arg, state) for arg in cond.args)

    def convert_condition_and(self, cond: ConditionAND, state: ConversionState) -> Expression:
        return join_all(self.convert_condition(arg, state) for arg in cond.args)

    def convert_condition_not(self, cond: ConditionNOT, state: ConversionState) -> Expression:
        return negate(self.convert_condition(cond.args[0], state))

    def convert_condition_as_in_expression(
        self, cond: ConditionOR | ConditionAND, state: ConversionState
    ) -> Expression:
        raise AssertionError("convert_or_as_in and convert_and_as_in are off")

    # --- a field and a value

    def convert_condition_field_eq_val_str(self, cond: FieldValue, state: ConversionState) -> Expression:
        assert isinstance(cond.value, SigmaString)
        return self._string(cond.field, cond.value, nocase=True)

    def convert_condition_field_eq_val_str_case_sensitive(
        self, cond: FieldValue, state: ConversionState
    ) -> Expression:
        assert isinstance(cond.value, SigmaCasedString)
        return self._string(cond.field, cond.value, nocase=False)

    def convert_condition_field_eq_val_num(self, cond: FieldValue, state: ConversionState) -> Expression:
        assert isinstance(cond.value, SigmaNumber)
        if cond.field in NUMBER_FIELDS:
            return Test(cond.field, "eq", _whole(cond.field, cond.value))
        return self._string(cond.field, SigmaString.from_str(str(cond.value)), nocase=False)

    def convert_condition_field_compare_op_val(self, cond: FieldValue, state: ConversionState) -> Expression:
        assert isinstance(cond.value, SigmaCompareExpression)
        if cond.field not in NUMBER_FIELDS:
            _refuse(f"{_shown(cond.field)} is text and cannot be compared with a number; {_numbers()} can")
        return Test(cond.field, _COMPARE[cond.value.op], _whole(cond.field, cond.value.number))

    def convert_condition_field_eq_val_re(self, cond: FieldValue, state: ConversionState) -> Expression:
        assert isinstance(cond.value, SigmaRegularExpression)
        field, _ = _text_field(cond.field, "a regular expression")
        return _regex(field, cond.value)

    def convert_condition_field_eq_val_cidr(self, cond: FieldValue, state: ConversionState) -> Expression:
        assert isinstance(cond.value, SigmaCIDRExpression)
        field, within = _text_field(cond.field, "a network")
        network = cond.value.network
        if isinstance(network, ipaddress.IPv6Network):
            _refuse(
                f"cidr {network}: an address of IPv6 has many spellings, which a pattern cannot tell apart"
            )
        address = _addresses(network)
        if within:
            # A dot may follow at the end of a sentence, but no further digits of an address.
            return Test(field, "regex", rf"(?:^|[^0-9.]){address}(?:$|[^0-9.]|\.(?:$|[^0-9]))")
        return Test(field, "regex", f"^{address}$")

    def convert_condition_field_eq_val_null(self, cond: FieldValue, state: ConversionState) -> Expression:
        return Test(_whole_field(cond.field, "null"), "exists", False)

    def convert_condition_field_exists(self, cond: FieldValue, state: ConversionState) -> Expression:
        return Test(_whole_field(cond.field, "exists"), "exists", True)

    def convert_condition_field_not_exists(self, cond: FieldValue, state: ConversionState) -> Expression:
        assert isinstance(cond.value, SigmaExists)
        return Test(_whole_field(cond.field, "exists"), "exists", False)

    def convert_condition_field_eq_val_bool(self, cond: FieldValue, state: ConversionState) -> NoReturn:
        _refuse(f"{_shown(cond.field)}: true and false are no values of a line's field")

    def convert_condition_field_eq_val_timestamp_part(
        self, cond: FieldValue, state: ConversionState
    ) -> NoReturn:
        _refuse(f"{_shown(cond.field)}: parts of a time (minute, hour, day, ...) are not known to rules")

    def convert_condition_field_eq_field(self, cond: FieldValue, state: ConversionState) -> NoReturn:
        _refuse(f"{_shown(cond.field)}|fieldref: two fields of a line cannot be compared with each other")

    def convert_condition_field_eq_query_expr(self, cond: FieldValue, state: ConversionState) -> NoReturn:
        _refuse("a piece of a query in another tool's language")

    # --- a keyword

    def convert_condition_val_str(self, cond: ConditionValueExpression, state: ConversionState) -> Expression:
        assert isinstance(cond.value, SigmaString)
        nocase = not isinstance(cond.value, SigmaCasedString)
        found = self._string("message" + WITHIN, cond.value, nocase=nocase)
        # Sigma means the whole event. Of the header, that can be the program: "pkexec" is in no message.
        if isinstance(found, Test) and _PROGRAM.fullmatch(str(found.value)) and found.op == "contains":
            return join_any([found, Test("process", "contains", found.value, nocase)])
        return found

    def convert_condition_val_num(self, cond: ConditionValueExpression, state: ConversionState) -> Expression:
        return Test("message", "contains", str(cond.value))

    def convert_condition_val_re(self, cond: ConditionValueExpression, state: ConversionState) -> Expression:
        assert isinstance(cond.value, SigmaRegularExpression)
        return _regex("message", cond.value)

    def convert_condition_query_expr(
        self, cond: ConditionValueExpression, state: ConversionState
    ) -> NoReturn:
        _refuse("a piece of a query in another tool's language")

    # --- correlations: refused by name before a conversion begins; this is for callers of the class itself

    def _no_correlation(self, *_: Any, **__: Any) -> NoReturn:
        _refuse("correlations count or join events over time; a rule here sees one line")

    convert_correlation_rule = _no_correlation
    convert_correlation_event_count_rule = _no_correlation
    convert_correlation_value_count_rule = _no_correlation
    convert_correlation_temporal_rule = _no_correlation
    convert_correlation_temporal_ordered_rule = _no_correlation
    convert_correlation_extended_temporal_rule = _no_correlation
    convert_correlation_extended_temporal_ordered_rule = _no_correlation
    convert_correlation_value_sum_rule = _no_correlation
    convert_correlation_value_avg_rule = _no_correlation
    convert_correlation_value_percentile_rule = _no_correlation
    convert_correlation_value_median_rule = _no_correlation

    def _string(self, named: str, value: SigmaString, *, nocase: bool) -> Expression:
        """A text with Sigma's wildcards: the plainest operator that says the same."""
        if named in NUMBER_FIELDS:
            return Test(named, "eq", _digits(named, value))
        field, within = _text_field(named, "a text")
        parts = list(value.s)
        for part in parts:
            if isinstance(part, Placeholder):
                _refuse(f"%{part.name}% has no values here; put them in its place")
        many = SpecialChars.WILDCARD_MULTI
        if not any(isinstance(part, str) or part != many for part in parts):
            if within:
                _refuse(f"{_shown(named)}: nothing to look for, so it would fit every line")
            return Test(field, "exists", bool(parts))  # "*" is any value; '' is none
        left = parts[0] == many or within
        right = parts[-1] == many or within
        while parts[0] == many:
            parts.pop(0)
        while parts[-1] == many:
            parts.pop()
        if len(parts) == 1 and isinstance(parts[0], str):
            op = {(0, 0): "equals", (0, 1): "startswith", (1, 0): "endswith", (1, 1): "contains"}
            return Test(field, op[left, right], parts[0], nocase)
        inner = "".join(_literal(p) if isinstance(p, str) else ".*" if p == many else "." for p in parts)
        return Test(field, "regex", f"(?s){'' if left else '^'}{inner}{'' if right else '$'}", nocase)


def _refuse(reason: str) -> NoReturn:
    raise SigmaFeatureNotSupportedByBackendError(reason)


def _shown(field: str) -> str:
    return field.removesuffix(WITHIN)


def _numbers() -> str:
    return ", ".join(NUMBER_FIELDS)


def _text_field(named: str, what: str) -> tuple[str, bool]:
    """The line's field, and whether the value is looked for within it."""
    field = named.removesuffix(WITHIN)
    if field in NUMBER_FIELDS:
        _refuse(f"{field} is a number and cannot be compared with {what}")
    return field, field != named


def _whole_field(named: str, what: str) -> str:
    if named.endswith(WITHIN):
        _refuse(f"{what}: whether a field stands in {_shown(named)} cannot be told from the text")
    return named


def _whole(field: str, value: SigmaNumber) -> int:
    number, highest = value.number, NUMBER_FIELDS[field]
    if not isinstance(number, int) or not 0 <= number <= highest:
        _refuse(f"{field}: {number} is not a whole number from 0 to {highest}")
    return number


def _digits(field: str, value: SigmaString) -> int:
    text = "".join(part for part in value.s if isinstance(part, str))
    if value.contains_special() or not (text.isascii() and text.isdigit()):
        _refuse(f"{field} is a number and cannot be compared with a text")
    return _whole(field, SigmaNumber(int(text)))


def _literal(text: str) -> str:
    """A text as a part of a pattern. What follows it is never a quantifier."""
    return "".join(f"\\{c}" if c in _META else c for c in text)


def _regex(field: str, value: SigmaRegularExpression) -> Test:
    if value.contains_placeholder():
        _refuse("a regular expression with a placeholder %...%, which has no values here")
    flags = sum(SigmaRegularExpression.sigma_to_python_flags[flag] for flag in value.flags)
    nocase = SigmaRegularExpressionFlag.IGNORECASE in value.flags
    pattern = _flagged(value.escape(escape_escape_char=False, flag_prefix=False), flags & ~re.IGNORECASE)
    return Test(field, "regex", pattern, nocase)


def _flagged(pattern: str, flags: int) -> str:
    letters = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}
    set_ = "".join(letter for flag, letter in letters.items() if flags & flag)
    return f"(?{set_}){pattern}" if set_ else pattern


def _addresses(network: ipaddress.IPv4Network) -> str:
    """A pattern of all addresses of a network, and of no others."""
    octets = network.network_address.packed
    fixed, loose = divmod(network.prefixlen, 8)
    parts = [str(octet) for octet in octets[:fixed]]
    if loose:
        first = octets[fixed]
        choice = "|".join(str(n) for n in range(first, first + (1 << (8 - loose))))
        parts.append(f"(?:{choice})")
    return r"\.".join([*parts, *[_ANY_OCTET] * (4 - len(parts))])
