"""The server itself: one asyncio process with uvicorn in it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import pwd
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from haechi.config.serve import ServeConfig
from haechi.serve import privileges
from haechi.serve.app import make_app
from haechi.serve.keys import Keys, take_token
from haechi.serve.notify import knows
from haechi.serve.plane import Plane

HEADERS_S = 10.0
TAKE_S = 10.0  # in which a client makes room for more of an answer that waits
CROWD = 2  # times the connections that are answered
GRACE_S = 3
_WEBSOCKET_BYTES = 1024  # nothing is expected from there


class ServeError(Exception):
    """The server cannot be begun; says what to do about it."""


class ImpatientProtocol(H11Protocol):
    """Closes a connection whose request line and headers do not come in time, or that does not take its
    answer: a client that sends a letter a minute, or reads one, keeps nobody's place. Far beyond the
    connections that there may be, one more is closed before it has said anything."""

    _waiting: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.limit_concurrency and len(self.connections) > CROWD * self.limit_concurrency:
            transport.abort()
            return
        self._attend()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._untaken is None:
            self._untaken = self.loop.call_later(TAKE_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_untaken()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._attend()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_untaken()
        super().connection_lost(exc)

    def _attend(self) -> None:
        if self.conn.their_state is not h11.IDLE or self.transport.get_protocol() is not self:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(HEADERS_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _stop_untaken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def _give_up(self) -> None:
        self._waiting = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.abort()


def serve(config: ServeConfig) -> None:
    """Until TERM or INT. ServeError where it cannot be begun; TokenError for the token's file."""
    logging.basicConfig(stream=sys.stderr, format="haechi: %(message)s", level=logging.WARNING)
    os.umask(0o077)  # what the tools write is for this user alone
    _check_channels(config)
    user = None if config.user is None else privileges.find_user(config.user)
    _make_state(config.state, user)
    with contextlib.ExitStack() as opened:
        opened.enter_context(owning(config.state))
        keys = _keys(config, user)
        sockets = [opened.enter_context(one) for one in listening(config.address, config.port)]
        server = _Server(_uvicorn(config, keys), config)
        # All that needs root is done: the port, the certificate's key. Threads begin after it.
        privileges.drop(config.user, config.capabilities)
        if not os.access(config.state, os.W_OK | os.X_OK):
            owner = config.user or pwd.getpwuid(os.geteuid()).pw_name
            raise ServeError(f"state: {config.state} cannot be written to as {owner}; chown -R it")
        asyncio.run(server.serve(sockets=sockets))
    if not server.started:
        raise ServeError("it could not begin; see above")


@contextlib.contextmanager
def owning(folder: Path) -> Iterator[None]:
    """Two servers would write over each other's journal, trials and checkpoints. The kernel lets go of the
    lock with the process, whatever ends it."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ServeError(f"state: {folder} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise ServeError(f"state: {folder} is in use by another server; --state names another one") from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(fd)


def listening(address: str, port: int) -> list[socket.socket]:
    """Bound to every address of a name; where the port is 0, all to the same free one. ServeError."""
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ServeError(f"{where} cannot be listened on: {getattr(error, 'strerror', error)}") from None
    with contextlib.ExitStack() as failed:
        sockets: list[socket.socket] = []
        for family, kind, protocol, _, place in dict.fromkeys(found):
            try:
                bound = failed.enter_context(socket.socket(family, kind, protocol))
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                same = sockets[0].getsockname()[1] if sockets else port
                bound.bind((place[0], same, *place[2:]))
            except OSError as error:
                if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and len(found) > 1:
                    bound.close()  # localhost may name an address that this machine does not have
                    continue
                raise ServeError(f"{where} cannot be listened on: {error.strerror}") from None
            sockets.append(bound)
        if not sockets:
            raise ServeError(f"{where} cannot be listened on: this machine has no such address")
        failed.pop_all()
    return sockets


def _make_state(folder: Path, user: pwd.struct_passwd | None) -> None:
    """Handed to the user where it is new; what is there already is somebody's, who can do that."""
    new = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if new and user is not None and os.geteuid() == 0:
        os.chown(folder, user.pw_uid, user.pw_gid, follow_symlinks=False)


class _Server(uvicorn.Server):
    """Says where it listens when it does."""

    def __init__(self, config: uvicorn.Config, serve: ServeConfig) -> None:
        super().__init__(config)
        self._serve_config = serve

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's own, which dies of the signal once all is done; here that is a good end."""
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        port = self.servers[0].sockets[0].getsockname()[1]
        scheme = "https" if self._serve_config.tls_certificate else "http"
        address = self._serve_config.address
        host = f"[{address}]" if ":" in address else address
        _say(f"listening at {scheme}://{host}:{port}")


def _keys(config: ServeConfig, user: pwd.struct_passwd | None) -> Keys:
    if not config.token_needed:
        return Keys(None, time.monotonic)
    path = config.state / "token"
    token, made = take_token(path)
    if made and user is not None and os.geteuid() == 0:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    _say(f"the token is {'new, and ' if made else ''}in {path}")
    if not config.loopback and config.tls_certificate is None:
        _say("without TLS the token can be read on the way; tls_certificate and tls_key set it up")
    return Keys(token, time.monotonic)


def _uvicorn(config: ServeConfig, keys: Keys, plane: Plane | None = None) -> uvicorn.Config:
    settings = uvicorn.Config(
        make_app(config, keys, plane=plane),
        host=config.address,
        port=config.port,
        http=ImpatientProtocol,
        ws="websockets-sansio",
        ws_max_size=_WEBSOCKET_BYTES,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=config.connections,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=16_384,
        ssl_certfile=config.tls_certificate,
        ssl_keyfile=config.tls_key,
    )
    try:
        settings.load()
    except (OSError, ssl.SSLError) as error:
        raise ServeError(f"{config.tls_certificate}, {config.tls_key}: {error}") from None
    if settings.ssl is not None:
        settings.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return settings


def _check_channels(config: ServeConfig) -> None:
    for channel in config.channels:
        if not knows(channel):
            raise ServeError(f"channels: {channel.name}: its url is none that Apprise knows")


def _say(sentence: str) -> None:
    print(f"haechi: {sentence}", file=sys.stderr, flush=True)
