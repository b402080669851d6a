"""The server itself: one asyncio process with uvicorn in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from haechi.config.serve import ServeConfig
from haechi.serve.app import make_app
from haechi.serve.keys import Keys, take_token
from haechi.serve.notify import knows

HEADERS_S = 10.0
GRACE_S = 3
_WEBSOCKET_BYTES = 1024  # nothing is expected from there


class ServeError(Exception):
    """The server cannot be begun; says what to do about it."""


class ImpatientProtocol(H11Protocol):
    """Closes a connection whose request line and headers do not come in time: a client that sends a letter a
    minute keeps nobody's place."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._attend()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._attend()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
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

    def _give_up(self) -> None:
        self._waiting = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.abort()


def serve(config: ServeConfig) -> None:
    """Until TERM or INT. ServeError where it cannot be begun; TokenError for the token's file."""
    logging.basicConfig(stream=sys.stderr, format="haechi: %(message)s", level=logging.WARNING)
    os.umask(0o077)  # what the tools write is for this user alone
    _check_channels(config)
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = _keys(config)
    server = _Server(_uvicorn(config, keys), config)
    asyncio.run(server.serve())
    if not server.started:
        raise ServeError(f"{config.address}:{config.port} cannot be listened on; see above")


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


def _keys(config: ServeConfig) -> Keys:
    if not config.token_needed:
        return Keys(None, time.monotonic)
    path = config.state / "token"
    token, made = take_token(path)
    _say(f"the token is {'new, and ' if made else ''}in {path}")
    if not config.loopback and config.tls_certificate is None:
        _say("without TLS the token can be read on the way; tls_certificate and tls_key set it up")
    return Keys(token, time.monotonic)


def _uvicorn(config: ServeConfig, keys: Keys) -> uvicorn.Config:
    settings = uvicorn.Config(
        make_app(config, keys),
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
