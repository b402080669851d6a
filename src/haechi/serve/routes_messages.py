"""Routes of rules and of the messages they send."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter

from haechi.serve.routes import Count, ThePlane

routes = APIRouter(tags=["messages"])


@routes.get("/rules", summary="List rules")
async def list_rules(plane: ThePlane) -> list[dict[str, Any]]:
    """What is watched, and where each rule stands about each of its subjects."""
    return [
        rule.model_dump(mode="json")
        | {
            "standings": {
                subject: {"phase": standing.phase, "value": standing.value}
                for (name, subject), standing in plane.standings.items()
                if name == rule.name
            }
        }
        for rule in plane.config.rules
    ]


@routes.get("/rules/events", summary="What fired and recovered")
async def rule_events(plane: ThePlane, limit: Count = 100) -> list[dict[str, Any]]:
    """What fired and recovered, the newest first."""
    return list(reversed(plane.events))[:limit]


@routes.get("/notifications", summary="List messages")
async def notifications(
    plane: ThePlane,
    state: Literal["pending", "delivered", "failed"] | None = None,
    limit: Count = 100,
) -> list[dict[str, Any]]:
    """What became of each message, the newest first."""
    return [note.view() for note in plane.notifier.latest(limit, state)]
