"""What /openapi.json says beside the routes: what belongs together, and how a client shows its key."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from haechi.serve.guard import COOKIE

WORDS = (
    'Bodies and answers are JSON. A refusal is {"detail": "sentence"}, with the status of its kind.\n\n'
    'Rates and times are written as people write them: 20000, "500k", "4M"; 30, "30s", "1h30m". Moments are '
    "UTC, as 2026-01-05T10:00:00Z.\n\n"
    "Where a token is demanded (always beyond loopback), programs send Authorization: Bearer TOKEN, and "
    "browsers enter it once at POST /session."
)
TAGS = [
    {
        "name": "general",
        "description": "The server itself: whether it works, its figures, a browser's session.",
    },
    {"name": "jobs", "description": "Storms, sinks and detectors: started, watched, steered, stopped."},
    {"name": "trials", "description": "Scenarios, their runs, and the reports these leave."},
    {"name": "alerts", "description": "What detectors have found."},
    {"name": "incidents", "description": "Alerts of one cause, together."},
    {"name": "messages", "description": "What is watched, what fired, and what became of each message."},
    {"name": "events", "description": "What operators and the server itself have done, step by step."},
]
_KEYS = {
    "token": {"type": "http", "scheme": "bearer", "description": "The file `token` of the state folder."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Begun by POST /session."},
}
_EXAMPLES = {"trial_id": "trial-1", "other_id": "trial-2", "number": 1, "name": "mine"}
_OPEN = {("/health", "get"), ("/session", "post")}
_METHODS = ("get", "post", "put", "delete")


def describe(app: FastAPI) -> None:
    """Made when it is first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    whole = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=WORDS, routes=app.routes
    )
    used = set()
    for path, methods in whole["paths"].items():
        for method in _METHODS:
            if (operation := methods.get(method)) is None:
                continue
            used |= set(operation.get("tags", ()))
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    # /storms/{job_id}/...: storm-1
                    job = path.split("/")[1].removesuffix("s") + "-1"
                    parameter["schema"]["examples"] = [_EXAMPLES.get(parameter["name"], job)]
            # {}: on loopback none is needed, unless the configuration says so.
            operation["security"] = [] if (path, method) in _OPEN else [{}, {"token": []}, {"session": []}]
    whole.setdefault("components", {})["securitySchemes"] = _KEYS
    whole["tags"] = [tag for tag in TAGS if tag["name"] in used]
    return whole
