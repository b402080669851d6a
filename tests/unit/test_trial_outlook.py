"""Criteria that are certain before their time is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from haechi.trial.criteria import parse
from haechi.trial.outlook import outlook
from tests.unit.test_trial_kpi import GOOD, LOSSY, SHORT, samples

ASKED, SECONDS = 100_000.0, 100.0  # of which the samples here are the first seconds


@pytest.mark.parametrize(
    ("text", "seconds", "verdict"),
    [
        ("sent > 3000", [GOOD] * 3, "unknown"),
        ("sent >= 3000", [GOOD] * 3, "met"),
        ("sent > 2k", [GOOD] * 3, "met"),
        ("sent < 3000", [GOOD] * 3, "missed"),
        ("sent == 2k", [GOOD] * 3, "missed"),
        ("loss_ratio == 0", [GOOD] * 5, "unknown"),
        ("loss_ratio == 0", [LOSSY, GOOD, GOOD, GOOD], "missed"),
        # 100 of the 101,000 that can be sent at most.
        ("loss_ratio < 0.1 %", [LOSSY, GOOD, GOOD, GOOD], "unknown"),
        ("loss_ratio < 0.09 %", [LOSSY, GOOD, GOOD, GOOD], "missed"),
        ("lost <= 99", [LOSSY, GOOD, GOOD, GOOD], "missed"),
        # Told of in the last sample alone: the next marks may take it back.
        ("loss_ratio == 0", [GOOD, GOOD, GOOD, LOSSY], "unknown"),
        ("loss_ratio > 0.01 %", [LOSSY, GOOD, GOOD, GOOD], "met"),
        ("uptime_ratio > 99 %", [GOOD, SHORT, GOOD], "missed"),
        ("uptime_ratio >= 99 %", [GOOD, SHORT, GOOD], "unknown"),
        ("uptime_ratio >= 99 %", [SHORT, SHORT, GOOD], "missed"),
        ("uptime_ratio > 99 %", [GOOD, GOOD, SHORT], "unknown"),
        ("recovers_within: 1s", [SHORT, SHORT, GOOD], "missed"),
        ("recovers_within: 2s", [SHORT, SHORT, GOOD], "unknown"),
        ("peak_eps < 900", [GOOD, GOOD, GOOD], "missed"),
        ("memory < 1kB", [GOOD, GOOD, GOOD], "missed"),
        ("latency_max < 1ms", [GOOD, GOOD], "missed"),
        ("latency_max < 10ms", [GOOD, GOOD], "unknown"),
        # Averages, and what the end decides.
        ("achieved_eps > 1M", [GOOD] * 9, "unknown"),
        ("latency_p99 < 1us", [GOOD] * 9, "unknown"),
        ("cpu < 1 %", [GOOD] * 9, "unknown"),
        ("f1 > 0.9", [GOOD] * 9, "unknown"),
        # Of nothing, nothing is known.
        ("sent > 0", [], "unknown"),
        ("loss_ratio == 0", [], "unknown"),
        ("uptime_ratio > 0.5", [], "unknown"),
    ],
)
def test_what_is_certain(text: str, seconds: list[tuple[int, int]], verdict: str) -> None:
    assert outlook(parse(text), samples(*seconds), 0.002, ASKED, SECONDS) == verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("errors == 0", "missed"),
        ("errors <= 50", "unknown"),
        ("error_ratio < 0.04 %", "missed"),
        ("error_ratio < 0.06 %", "unknown"),
        ("late_ratio < 0.1 %", "missed"),
        ("late_ratio < 50 %", "unknown"),
    ],
)
def test_of_errors_and_of_what_was_late(text: str, verdict: str) -> None:
    begin, *_, end = samples(*[GOOD] * 3)
    end = replace(end, errors=50, late=200)
    assert outlook(parse(text), [begin, end], None, ASKED, SECONDS) == verdict


def test_losses_that_are_not_known_decide_nothing() -> None:
    unknown = [replace(sample, lost=None) for sample in samples(*[LOSSY] * 5)]
    assert outlook(parse("loss_ratio == 0"), unknown, None, ASKED, SECONDS) == "unknown"
