"""Who may come in: the token of this server, and the sessions of browsers in which it was entered."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

SESSION_S = 12 * 3600.0
SESSIONS_MAX = 100
TOKEN_CHARS_MIN = 32


class TokenError(ValueError):
    """The file of the token cannot be used."""


def take_token(path: Path) -> tuple[str, bool]:
    """The token in a file, and whether it was made now. Only the owner can read the file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return _read_token(path), False
    token = secrets.token_urlsafe(32)
    with os.fdopen(fd, "w") as file:
        file.write(token + "\n")
    return token, True


def _read_token(path: Path) -> str:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        token = file.read(4096).strip()
    if mode & 0o077:
        raise TokenError(f"{path}: mode {mode:o} lets others read the token; run: chmod 600 {path}")
    if len(token) < TOKEN_CHARS_MIN:
        raise TokenError(
            f"{path}: {len(token)} characters are fewer than {TOKEN_CHARS_MIN}; remove the file for a new one"
        )
    return token


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


class Keys:
    """Compared by digest and in constant time, so that nothing of it can be found by trying."""

    def __init__(self, token: str | None, clock: Callable[[], float]) -> None:
        self._token = _digest(token) if token is not None else None
        self._clock = clock
        self._sessions: OrderedDict[bytes, float] = OrderedDict()

    @property
    def demanded(self) -> bool:
        return self._token is not None

    def opens(self, token: str) -> bool:
        return self._token is not None and hmac.compare_digest(self._token, _digest(token))

    def begin_session(self) -> str:
        """The secret of a new session, for a cookie. The oldest goes where there are too many."""
        secret = secrets.token_urlsafe(32)
        self._sessions[_digest(secret)] = self._clock() + SESSION_S
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return secret

    def has_session(self, secret: str) -> bool:
        """Looked up by its digest, which nobody can approach step by step."""
        until = self._sessions.get(_digest(secret))
        return until is not None and self._clock() < until

    def end_session(self, secret: str) -> None:
        self._sessions.pop(_digest(secret), None)
