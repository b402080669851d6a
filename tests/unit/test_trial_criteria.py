"""Criteria: what is one, what it means, what is refused and how that is said."""

from __future__ import annotations

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haechi.trial.criteria import NAMES, parse

RATIOS = [name for name, about in NAMES.items() if about.dimension == "ratio"]


@pytest.mark.parametrize(
    ("text", "name", "operator", "bound"),
    [
        ("loss_ratio < 0.003", "loss_ratio", "<", 0.003),
        ("loss_ratio<0.3%", "loss_ratio", "<", 0.003),
        ("cpu <= 70 %", "cpu", "<=", 0.7),
        ("latency_p99 < 5ms", "latency_p99", "<", 0.005),
        ("latency_p999 < 800us", "latency_p999", "<", 0.0008),
        ("achieved_ratio >= 0.99", "achieved_ratio", ">=", 0.99),
        ("achieved_eps > 3.9M", "achieved_eps", ">", 3.9e6),
        ("memory < 14GB", "memory", "<", 14e9),
        ("lost == 0", "lost", "==", 0),
        ("recovers_within: 30s", "recovery", "<=", 30),
        ("recovers_within: 2 m", "recovery", "<=", 120),
    ],
)
def test_a_criterion_is_read(text: str, name: str, operator: str, bound: float) -> None:
    criterion = parse(text)
    assert (criterion.name, criterion.operator) == (name, operator)
    assert criterion.bound == pytest.approx(bound)
    assert criterion.text == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss_ratoi < 1", "'loss_ratoi' is no figure; known are sent, "),
        ("latency_p99 < 5", "no unit is none of its units, which are us, ms, s"),
        ("cpu < 70 MB", "cpu is in ratio: 'MB' is none of its units, which are none, %"),
        ("recovers_within: 30", "recovers_within is in seconds"),
        ("cpu", "is not a criterion such as"),
        ("cpu < -1", "is not a criterion"),
        ("cpu != 1", "is not a criterion"),
        ("cpu < 1 and lost < 2", "is not a criterion"),
        ("__import__('os').system('true') < 1", "is not a criterion"),
        ("cpu < (1)", "is not a criterion"),
        ("", "is not a criterion"),
    ],
)
def test_anything_else_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse(text)
    assert said in str(refused.value)


@given(st.text(alphabet=string.printable, max_size=60))
def test_any_text_is_a_criterion_or_refused(text: str) -> None:
    try:
        criterion = parse(text)
    except ValueError:
        return
    assert criterion.name in NAMES
    assert math.isfinite(criterion.bound)


@given(
    st.sampled_from(RATIOS),
    st.sampled_from(["<", "<=", ">", ">=", "=="]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from(["", " ", "  "]),
)
def test_a_criterion_says_what_python_would(
    name: str, operator: str, bound: int, value: int, gap: str
) -> None:
    criterion = parse(f"{gap}{name}{gap}{operator}{gap}{bound / 1000}{gap}")
    wanted = {
        "<": value / 1000 < bound / 1000,
        "<=": value <= bound,
        ">": value / 1000 > bound / 1000,
        ">=": value >= bound,
        "==": value == bound,
    }[operator]
    assert criterion.verdict({name: value / 1000}) == ("met" if wanted else "missed")


def test_what_is_not_known_is_neither_met_nor_missed() -> None:
    assert parse("f1 > 0.9").verdict({"f1": None}) == "unknown"
    assert parse("f1 > 0.9").verdict({}) == "unknown"
    assert parse("recovers_within: 30s").verdict({"recovery": math.inf}) == "missed"
