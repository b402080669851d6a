"""The server beside other work: on loopback, in a thread of its own, for a program that has more to do and
whose signals are its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

import uvicorn

from haechi.config.serve import ServeConfig
from haechi.serve.keys import Keys
from haechi.serve.plane import Plane
from haechi.serve.run import ServeError, _uvicorn, listening, owning

T = TypeVar("T")


class Beside:
    """Begun and ended by its `with` block; the tools of its plane end with it. It listens at the configured
    port, or where that is taken at one that is free."""

    def __init__(self, config: ServeConfig) -> None:
        if not config.loopback or config.token_needed:
            raise ServeError(f"{config.address}: beside other work only loopback is served, without a token")
        config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            opened.enter_context(owning(config.state))
            self._sockets = _listening(config.address, config.port)
            for one in self._sockets:
                opened.enter_context(one)
            self._opened = opened.pop_all()
        port = self._sockets[0].getsockname()[1]
        host = f"[{config.address}]" if ":" in config.address else config.address
        self.url = f"http://{host}:{port}"
        config = config.model_copy(update={"port": port})
        self.plane = Plane(config)
        self._server = uvicorn.Server(_uvicorn(config, Keys(None, time.monotonic), self.plane))
        self._thread = threading.Thread(target=self._run, name="haechi-serve", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Something that belongs into the server's event loop: done there, awaited here."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.01)
        if not self._server.started:
            self._opened.close()
            raise ServeError(f"{self.url}: the server did not begin; see above")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._opened.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=self._sockets)


def _listening(address: str, port: int) -> list[socket.socket]:
    """Listening already, not bound alone: another one that comes meanwhile is not given the same port."""
    try:
        return _taken(address, port)
    except (ServeError, OSError):
        return _taken(address, 0)


def _taken(address: str, port: int) -> list[socket.socket]:
    with contextlib.ExitStack() as failed:
        sockets = [failed.enter_context(one) for one in listening(address, port)]
        for one in sockets:
            one.listen()
        failed.pop_all()
    return sockets
