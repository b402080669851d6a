"""The application: routes put together, and how errors become answers."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from haechi import __version__
from haechi.config.serve import ServeConfig
from haechi.native.control import ControlError
from haechi.native.tools import ToolError, ToolRefusedError
from haechi.serve import (
    page,
    routes_alerts,
    routes_docs,
    routes_events,
    routes_explain,
    routes_general,
    routes_history,
    routes_incidents,
    routes_jobs,
    routes_messages,
    routes_templates,
    routes_trials,
    wishes,
)
from haechi.serve.description import describe
from haechi.serve.fleet import FleetError
from haechi.serve.guard import Guard
from haechi.serve.keys import Keys
from haechi.serve.plane import Plane
from haechi.serve.routes import Refusal
from haechi.serve.scenarios import NoScenarioError, ShippedError
from haechi.serve.streams import Streams
from haechi.storm.profile import ProfileError
from haechi.storm.targets import TargetError

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal} for status in (400, 401, 403, 404, 408, 409, 413, 421, 422, 429, 507)
}
_STATUS: dict[type[Exception], int] = {
    wishes.WishError: 422,
    TargetError: 422,
    ProfileError: 422,
    ToolRefusedError: 422,
    FleetError: 409,
    ControlError: 409,
    ToolError: 409,
    ShippedError: 409,
    NoScenarioError: 404,
}


def make_app(
    config: ServeConfig,
    keys: Keys,
    clock: Callable[[], float] = time.monotonic,
    plane: Plane | None = None,
) -> ASGIApp:
    """The whole application, guarded; with a plane of its own where none is given."""
    plane = plane or Plane(config, clock)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with plane.running():
            yield

    app = FastAPI(
        title="haechi",
        version=__version__,
        summary="Storms, sinks and detectors: run, watched, steered",
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        responses=_REFUSALS,
        redirect_slashes=False,
    )
    app.state.plane, app.state.keys, app.state.streams = plane, keys, Streams(config.websockets)
    for error, status in _STATUS.items():
        app.add_exception_handler(error, _refusing(status))
    app.add_exception_handler(RequestValidationError, _refuse_invalid)
    app.add_exception_handler(OSError, _refuse_for_now)
    app.include_router(routes_general.routes)
    app.include_router(routes_jobs.routes)
    app.include_router(routes_alerts.routes)
    app.include_router(routes_explain.make_router())
    app.include_router(routes_incidents.routes)
    app.include_router(routes_events.routes)
    app.include_router(routes_messages.routes)
    app.include_router(routes_trials.routes)
    app.include_router(routes_history.routes)
    app.include_router(routes_templates.make_router())
    app.include_router(routes_docs.routes)
    describe(app)
    if config.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["authorization", "content-type"],
        )
    return Guard(page.Page(app), config, keys, clock)


def _refusing(status: int) -> Callable[[Request, Exception], JSONResponse]:
    return lambda _, error: JSONResponse({"detail": str(error)}, status)


def _refuse_for_now(request: Request, error: Exception) -> JSONResponse:
    """The disk is full, or what else the system will not do: no mistake of ours, and none of the client's."""
    assert isinstance(error, OSError)
    why = error.strerror or "the system refused it"
    logging.warning("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": f"it could not be done or kept: {why}"}, 507)


def _refuse_invalid(_: Request, error: Exception) -> JSONResponse:
    """In sentences, and without what came, which may be large or not printable."""
    assert isinstance(error, RequestValidationError)
    lines = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()[:20]]
    text = "\n".join(lines).encode("utf-8", "replace").decode()
    return JSONResponse({"detail": text}, 422)
