"""WebSockets: bounded in number, and none waits for a slow one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from haechi.serve.streams import POLICY_VIOLATED, TRY_AGAIN_LATER, Streams

PATIENCE_S = 10.0


class Fake:
    """A socket whose client takes so many messages, then hangs, speaks or leaves."""

    def __init__(self, takes: int, then: str) -> None:
        self._takes = takes
        self._then = then
        self._spoken = asyncio.Event()
        self.got: list[str] = []
        self.closed: int | None = None

    async def accept(self) -> None:
        return

    async def send_text(self, data: str) -> None:
        if len(self.got) >= self._takes:
            if self._then == "hangs":
                await asyncio.Event().wait()
            self._spoken.set()
        self.got.append(data)

    async def receive(self) -> dict[str, object]:
        await self._spoken.wait()
        return {"type": "websocket.receive" if self._then == "speaks" else "websocket.disconnect"}

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.closed = code


async def at_once() -> None:
    await asyncio.sleep(0)


def scene(act: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await act()

    asyncio.run(bounded())


def test_a_client_that_leaves() -> None:
    async def act() -> None:
        streams, socket = Streams(2), Fake(3, "leaves")
        await streams.serve(socket, lambda: "text", at_once)
        assert socket.got[:3] == ["text"] * 3
        assert (streams.open, streams.dropped, socket.closed) == (0, 0, None)

    scene(act)


def test_a_client_that_does_not_take_its_messages_is_dropped() -> None:
    async def act() -> None:
        streams, socket = Streams(2, slow_s=0.02), Fake(1, "hangs")
        await streams.serve(socket, lambda: "text", at_once)
        assert (streams.open, streams.dropped) == (0, 1)

    scene(act)


def test_a_client_that_says_something_is_dropped() -> None:
    async def act() -> None:
        streams, socket = Streams(2), Fake(1, "speaks")
        await streams.serve(socket, lambda: "text", at_once)
        assert (streams.open, streams.dropped, socket.closed) == (0, 1, POLICY_VIOLATED)

    scene(act)


def test_no_more_than_the_bound() -> None:
    async def act() -> None:
        streams, first, second = Streams(1, slow_s=60), Fake(0, "hangs"), Fake(9, "leaves")
        task = asyncio.create_task(streams.serve(first, lambda: "text", at_once))
        while not streams.open:
            await asyncio.sleep(0)
        await streams.serve(second, lambda: "text", at_once)
        assert (second.closed, second.got) == (TRY_AGAIN_LATER, [])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert streams.open == 0

    scene(act)
