"""USR1: a configuration that is read again while its tool runs. Most of it was settled when it started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import BaseModel

from haechi.config.load import ConfigError
from haechi.native.control import ControlError

C = TypeVar("C", bound=BaseModel)


class Reloader(Generic[C]):
    """Reads anew, takes over the one key that can change, and says what cannot.

    read gives the configuration as it is now (ConfigError, ValueError: it cannot be used); apply hands what
    a configuration has under `key` to the tool (ControlError, ValueError: it is refused)."""

    def __init__(
        self, running: C, read: Callable[[], C] | None, key: str, apply: Callable[[C], None]
    ) -> None:
        self.running = running
        self._read = read
        self._key = key
        self._apply = apply

    def __call__(self) -> list[str]:
        """What is to be said, a sentence each."""
        if self._read is None:
            return ["USR1: there is no --config to read again"]
        try:
            new = self._read()
        except (ConfigError, ValueError) as error:
            return [f"USR1: {line}; nothing is changed" for line in str(error).splitlines()]
        names = type(new).model_fields
        changed = [name for name in names if getattr(new, name) != getattr(self.running, name)]
        said = []
        if self._key in changed:
            changed.remove(self._key)
            said.append(self._take_over(new))
        if changed:
            said.append(f"USR1: {', '.join(changed)} cannot change while it runs; start anew for that")
        return said or ["USR1: the configuration was read again; nothing in it has changed"]

    def _take_over(self, new: C) -> str:
        value = getattr(new, self._key)
        try:
            self._apply(new)
        except (ControlError, ValueError) as error:
            return f"USR1: {self._key} stays as it is: {error}"
        self.running = self.running.model_copy(update={self._key: value})
        shown = f"{value:,.0f}" if isinstance(value, int | float) else value or "not set"
        return f"USR1: {self._key} is now {shown}"
