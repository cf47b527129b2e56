"""The listening socket, TLS, signals and the drain."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
from collections.abc import Coroutine
from typing import Self

from aiohttp import web

from proxy import errors
from proxy.app import App
from proxy.edge.acceptor import Acceptor, connection_limit, raise_descriptor_limit
from proxy.edge.connection import ClientConnection
from proxy.edge.limits import EdgeLimits
from proxy.edge.registry import ConnectionRegistry, RegisteredConnection
from proxy.settings import ProxySettings

logger = logging.getLogger(__name__)

BACKLOG = 1024
YOUNG_OBJECTS = 5_000
"""So many more objects, and the collector looks for cycles. Few are made here."""
END_S = 1.0
"""For clients to take the error with which a drain ends their requests."""
CUT_S = 0.01
"""For what outlives that; aiohttp waits for ever when told 0."""
INHERITED_FD = "LLAMASERVE_LISTEN_FD"
"""In the environment: the number of a listening socket that the supervisor hands down."""


RESTART_COMES = signal.SIGUSR1
"""Sent by `console.sh restart server` before it stops the model server."""


class StartError(Exception):
    """The proxy cannot start; the text says why and what to do."""


async def serve(settings: ProxySettings) -> None:
    """Serve until SIGTERM or SIGINT, drain (`ProxyServer`), and return.

    A second one cuts the drain short. SIGUSR1 says that the model server is about to be restarted.

    Raises:
        StartError: the port is taken, or the certificate cannot be used.
    """
    context = _tls_context(settings)
    server = ProxyServer(settings, _listener(settings), context=context)
    stop = asyncio.Event()

    def end() -> None:
        if stop.is_set():
            server.hurry()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(RESTART_COMES, server.app.turns.expect_restart)
    async with server:
        logger.info("listening on %s port %d", *server.address)
        # What is there now stays: the collector need not go through it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)
        await stop.wait()
    logger.info("stopped")


class ProxyServer:
    """The proxy behind a listening socket. An async context: serves within it, drains at its end.

    The drain: no connection is accepted any more, idle ones are closed, and what is being read, waits or
    is under way has `settings.drain_s` to end, with answers that close their connections. What is left
    then gets an error that says so, in a stream as an event, and END_S to take it.

    Raises:
        StartError: the spool cannot be written.
    """

    def __init__(
        self,
        settings: ProxySettings,
        listener: socket.socket,
        *,
        context: ssl.SSLContext | None = None,
        limits: EdgeLimits | None = None,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._context = context
        self._limits = limits or EdgeLimits()
        self._hurry = asyncio.Event()
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self.app = App(settings)
        self._manager: web.Server
        most = connection_limit(settings.max_connections, raise_descriptor_limit())
        self.connections = ConnectionRegistry(most, exempt=settings.trusted_proxies)

    async def __aenter__(self) -> Self:
        try:
            await self.app.__aenter__()
        except OSError as error:
            raise StartError(
                f"cannot write to {self._settings.spool_dir}: {error.strerror}; make it writable, or "
                "set LLAMA_DATA_DIR to a directory that is"
            ) from error
        # It knows all connections, and has what answers one that is lost cancelled.
        self._manager = web.Server(_nobody, handler_cancellation=True)
        self._acceptor = Acceptor(
            self._listener,
            self.connections,
            self._connection,
            context=self._context,
            handshake_s=self._limits.handshake_s,
        )
        self._acceptor.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            self._acceptor.stop()
            self._listener.close()
            await self._drain()
        finally:
            await self._manager.shutdown(CUT_S)
            await self.app.__aexit__(None, None, None)

    def hurry(self) -> None:
        """Let the drain end now."""
        self._hurry.set()

    def _connection(self, entry: RegisteredConnection) -> ClientConnection:
        return ClientConnection(
            self._manager,
            entry,
            respond=self.app,
            writes=self.app.writes,
            connections=self.connections,
            limits=self._limits,
        )

    async def _drain(self) -> None:
        logger.info("draining: requests under way have %g s", self._settings.drain_s)
        # What has come on a connection that seems idle is read first: it is a request that has begun.
        await asyncio.sleep(0)
        self.connections.drain()
        if await self._none_left(self._settings.drain_s, self._hurry.wait()):
            return
        logger.warning("%d connections are left, what runs on them is ended", len(self.connections))
        self.app.running.end_all(errors.proxy_stopping())
        if not await self._none_left(END_S):
            self.connections.cut()
            await self._none_left(END_S)

    async def _none_left(self, seconds: float, *sooner: Coroutine[None, None, object]) -> bool:
        """Wait until all connections have ended, so long, or until something else has happened."""
        tasks = [asyncio.ensure_future(wait) for wait in (self.connections.none_left(), *sooner)]
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        return not len(self.connections)


async def _nobody(_: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError("a Connection answers its requests itself")


def _listener(settings: ProxySettings) -> socket.socket:
    inherited = os.environ.pop(INHERITED_FD, None)
    if inherited is not None:
        return socket.socket(fileno=int(inherited))
    try:
        family = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; set "
            "LLAMA_PROXY_HOST and LLAMA_PROXY_PORT to an address and port that are free"
        ) from error


def _tls_context(settings: ProxySettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:  # ssl.SSLError is one
        raise StartError(
            f"LLAMA_PROXY_TLS_CERT and LLAMA_PROXY_TLS_KEY cannot be used: {error}"
        ) from error
    return context
