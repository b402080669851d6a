"""WebSockets: the same text to all of them once a second; who does not keep up is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

SLOW_S = 5.0
TRY_AGAIN_LATER, POLICY_VIOLATED = 1013, 1008


class Socket(Protocol):
    """The part of Starlette's WebSocket that is used."""

    async def accept(self) -> None: ...
    async def send_text(self, data: str) -> None: ...
    async def receive(self) -> dict[str, object]: ...
    async def close(self, code: int = 1000, reason: str | None = None) -> None: ...


class Streams:
    """Counts the sockets, and serves each until it ends."""

    def __init__(self, most: int, slow_s: float = SLOW_S) -> None:
        self._most = most
        self._slow_s = slow_s
        self.open = 0
        self.dropped = 0  # because they were slow, or said something

    async def serve(self, socket: Socket, text: Callable[[], str], tick: Callable[[], object]) -> None:
        """`tick` is awaited before each message but the first."""
        if self.open >= self._most:
            await socket.close(TRY_AGAIN_LATER)
            return
        self.open += 1
        try:
            await socket.accept()
            await self._until_one_ends(socket, text, tick)
        finally:
            self.open -= 1

    async def _until_one_ends(
        self, socket: Socket, text: Callable[[], str], tick: Callable[[], object]
    ) -> None:
        sending = asyncio.create_task(self._send(socket, text, tick))
        hearing = asyncio.create_task(socket.receive())
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
            spoke = (
                hearing.done()
                and not hearing.exception()
                and hearing.result()["type"] != ("websocket.disconnect")
            )
            if spoke:
                self.dropped += 1
                await socket.close(POLICY_VIOLATED, "nothing is to be sent here")
        finally:
            for task in (sending, hearing):
                task.cancel()
            await asyncio.gather(sending, hearing, return_exceptions=True)

    async def _send(self, socket: Socket, text: Callable[[], str], tick: Callable[[], object]) -> None:
        while True:
            try:
                await asyncio.wait_for(socket.send_text(text()), self._slow_s)
            except TimeoutError:
                self.dropped += 1
                return
            await tick()  # type: ignore[misc]
