"""A bench that is told to end lets its processes and folders go first, also when it is told by SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def term_interrupts() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt within it, as SIGINT does, so that every `with` block is left."""
    with _on(signal.SIGTERM, signal.default_int_handler):
        yield


@contextmanager
def ended_by_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM or SIGINT sets, for a bench that then ends early with everything written. A
    second signal interrupts it as usual."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        if ended.is_set():
            signal.default_int_handler(number, frame)
        ended.set()

    with _on(signal.SIGTERM, end), _on(signal.SIGINT, end):
        yield ended


@contextmanager
def _on(number: int, handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
