"""A tool's control socket: a Unix stream socket, one JSON object a line each way, every answer with `ok` and,
where that is false, `error`."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ANSWER_MAX_BYTES = 16 << 20


class ControlError(Exception):
    """The tool did not answer, or answered that it would not."""


class ControlClient:
    """One connection. Commands are answered in the order they were sent; one thread at a time."""

    def __init__(self, path: Path | str, timeout_s: float = 10.0) -> None:
        self.path = Path(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ControlError(f"{path}: {error.strerror or error}") from None
        self._unread = b""

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Sends {"command": command, ...} and returns the answer's object. ControlError where the tool
        refuses (in its own words), closes the connection, or takes longer than the timeout."""
        request = json.dumps({"command": command, **arguments}, separators=(",", ":"))
        try:
            self._socket.sendall(request.encode() + b"\n")
            line = self._read_line()
        except TimeoutError:
            raise ControlError(
                f"{self.path}: no answer to {command} in {self._socket.gettimeout()} s"
            ) from None
        except OSError as error:
            raise ControlError(f"{self.path}: {command}: {error.strerror or error}") from None
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ControlError(f"{self.path}: answered {line[:80]!r} to {command}, not a JSON object")
        if answer.get("ok") is not True:
            raise ControlError(f"{command}: {answer.get('error', 'refused without a reason')}")
        return answer

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_line(self) -> bytes:
        while b"\n" not in self._unread:
            if len(self._unread) > ANSWER_MAX_BYTES:
                raise ControlError(f"{self.path}: an answer is longer than {ANSWER_MAX_BYTES} bytes")
            more = self._socket.recv(65536)
            if not more:
                raise ControlError(f"{self.path}: the tool closed the connection")
            self._unread += more
        line, self._unread = self._unread.split(b"\n", 1)
        return line
