"""When something is wrong, and when that is said. Pure: of a rule, where it stood and a sample comes where it
stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from haechi.config.serve import RuleConfig

Phase = Literal["quiet", "pending", "firing"]
Event = Literal["fired", "recovered"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one rule about one subject."""

    phase: Phase = "quiet"
    since: float = 0.0  # when this phase began
    told_at: float | None = None  # when it was last said that it is wrong
    told: bool = False  # whether that was said this time: what was not said does not recover aloud
    value: float | None = None


def evaluate(
    rule: RuleConfig, standing: Standing, value: float | None, at: float
) -> tuple[Standing, Event | None]:
    """The next standing, and what is to be said. None: there is nothing to measure, and so nothing wrong.

    A value must be beyond the threshold for the rule's duration before it is wrong. Within the cooldown
    after it was said that it is wrong, it is not said again; if it still is wrong then, it is said then.
    """
    standing = replace(standing, value=value)
    if not _is_beyond(rule, value):
        if standing.phase == "firing":
            event: Event | None = "recovered" if standing.told else None
            return replace(standing, phase="quiet", since=at, told=False), event
        return (replace(standing, phase="quiet", since=at) if standing.phase == "pending" else standing), None
    if standing.phase == "quiet":
        standing = replace(standing, phase="pending", since=at)
    if standing.phase == "pending" and at - standing.since >= rule.duration:
        standing = replace(standing, phase="firing", since=at, told=False)
    if standing.phase == "firing" and not standing.told and _may_speak(rule, standing, at):
        return replace(standing, told=True, told_at=at), "fired"
    return standing, None


def sentence(rule: RuleConfig, subject: str, event: Event, value: float | None) -> str:
    """What is said, such as: storm-1: rate_percent is 91.2, below 95, for 10 s."""
    shown = "not measured any more" if value is None else f"{value:.4g}"
    side, threshold = ("above", rule.above) if rule.above is not None else ("below", rule.below)
    if event == "recovered":
        return f"{subject}: {rule.metric} has recovered: {shown}"
    lasting = f", for {rule.duration:g} s" if rule.duration else ""
    return f"{subject}: {rule.metric} is {shown}, {side} {threshold:g}{lasting}"


def _is_beyond(rule: RuleConfig, value: float | None) -> bool:
    if value is None:
        return False
    if rule.above is not None:
        return value > rule.above
    return rule.below is not None and value < rule.below


def _may_speak(rule: RuleConfig, standing: Standing, at: float) -> bool:
    return standing.told_at is None or at - standing.told_at >= rule.cooldown
