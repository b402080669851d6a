"""Routes about the whole: health, metrics, figures, sessions of browsers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Request, Response, WebSocket
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field, StringConstraints

from haechi import __version__
from haechi.serve import exposition
from haechi.serve.guard import COOKIE, session_of
from haechi.serve.keys import SESSION_S, Keys
from haechi.serve.plane import Plane
from haechi.serve.routes import ThePlane

routes = APIRouter(tags=["general"])


class Token(BaseModel):
    token: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        examples=["what the file `token` of the state folder says"]
    )


class Health(BaseModel):
    """stalled, with status 503: it answers, but its figures are old."""

    status: Literal["ok", "stalled"]
    version: str
    uptime_seconds: float


@routes.get("/health", summary="Is it well?", responses={503: {"model": Health}})
async def health(plane: ThePlane, answer: Response) -> Health:
    """Whether it works. Needs no token."""
    answer.status_code = 503 if plane.stalled else 200
    uptime = plane.clock() - plane.started_s
    return Health(status="stalled" if plane.stalled else "ok", version=__version__, uptime_seconds=uptime)


@routes.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
async def metrics(plane: ThePlane) -> Response:
    """For Prometheus. As a WebSocket: a JSON message a second."""
    return Response(exposition.render(plane), media_type=CONTENT_TYPE_LATEST)


@routes.get("/status", summary="Everything at a glance")
async def status(plane: ThePlane) -> dict[str, Any]:
    """Everything that runs or ran, without streams and totals; what is wrong now; the host."""
    return {
        "jobs": [job.view(whole=False) for job in plane.fleet.jobs()],
        "firing": [
            {"rule": rule, "subject": subject, "value": standing.value}
            for (rule, subject), standing in plane.standings.items()
            if standing.phase == "firing"
        ],
        "host": plane.host,
    }


@routes.get("/kpis", summary="Key figures of storms")
async def kpis(plane: ThePlane) -> dict[str, Any]:
    """Of each storm, running or kept. As a WebSocket, /kpi-stream: a message a second."""
    return {"storms": plane.kpis()}


@routes.post("/session", status_code=204, summary="Enter the token")
async def begin_session(request: Request, said: Token) -> Response:
    """From a browser: the token once, for a cookie that lasts twelve hours."""
    keys: Keys = request.app.state.keys
    if not keys.opens(said.token):
        raise HTTPException(401, "this is not the token of this server")
    answer = Response(status_code=204)
    answer.set_cookie(
        COOKIE,
        keys.begin_session(),
        max_age=int(SESSION_S),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@routes.delete("/session", status_code=204, summary="Leave")
async def end_session(request: Request) -> Response:
    """Ends the session that the cookie stands for."""
    keys: Keys = request.app.state.keys
    keys.end_session(session_of(request.headers.get("cookie", "")))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


@routes.websocket("/metrics")
async def stream_metrics(socket: WebSocket) -> None:
    plane: Plane = socket.app.state.plane
    await socket.app.state.streams.serve(socket, lambda: plane.metrics_text, plane.next_tick)


@routes.websocket("/kpi-stream")
async def stream_kpis(socket: WebSocket) -> None:
    plane: Plane = socket.app.state.plane
    await socket.app.state.streams.serve(socket, lambda: plane.kpis_text, plane.next_tick)
