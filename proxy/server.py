"""The listening socket, TLS, signals and the drain."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Self

from proxy import errors
from proxy.app import App
from proxy.edge.acceptor import Acceptor, connection_limit, raise_descriptor_limit
from proxy.edge.connection import ClientConnection
from proxy.edge.limits import EdgeLimits
from proxy.edge.registry import ConnectionRegistry, RegisteredConnection
from proxy.edge.request_reader import READ_BYTES
from proxy.settings import ProxySettings
from proxy.tls import ServerCertificate

logger = logging.getLogger(__name__)

BACKLOG = 1024
YOUNG_OBJECTS = 5_000
"""How many new objects there are before the garbage collector looks for cycles. Few are made here."""
END_S = 1.0
"""How long clients may take to read the error with which a drain ends their requests."""
INHERITED_FD = "LLAMASERVE_LISTEN_FD"
"""An environment variable: the number of a listening socket that the supervisor hands down."""
RESTART_ANNOUNCED = signal.SIGUSR1
"""Sent by `console.sh restart server` before it stops the model server."""
CERTIFICATE_RENEWED = signal.SIGHUP


class StartError(Exception):
    """The proxy cannot start; the text says why and what to do."""


async def serve(settings: ProxySettings) -> None:
    """Serve until SIGTERM or SIGINT, drain (`ProxyServer`), and return.

    A second one ends the drain at once. SIGUSR1 announces a restart of the model server, and SIGHUP a
    renewed certificate.

    Raises:
        StartError: the port is taken, or the certificate cannot be used.
    """
    server = ProxyServer(settings, _listener(settings), certificate=_certificate(settings))
    stop = asyncio.Event()

    def end() -> None:
        if stop.is_set():
            server.hurry()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(RESTART_ANNOUNCED, server.app.turns.expect_restart)
    loop.add_signal_handler(CERTIFICATE_RENEWED, server.reload_certificate)
    async with server:
        logger.info("listening on %s port %d", *server.address)
        # Objects made so far stay: the garbage collector need not look at them again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)
        await stop.wait()
    logger.info("stopped")


class ProxyServer:
    """The proxy behind a listening socket. An async context: serves within it, drains at its end.

    The drain: no connection is accepted any more and idle ones are closed. Requests that are being read,
    wait or are under way have `settings.drain_s` to end; their responses close their connections. What
    is left then gets an error that says so, in a stream as an event, and END_S to read it.

    Args:
        certificate: for TLS; None: plain HTTP.

    Raises:
        StartError: on entry, the spool cannot be written.
    """

    def __init__(
        self,
        settings: ProxySettings,
        listener: socket.socket,
        *,
        certificate: ServerCertificate | None = None,
        limits: EdgeLimits | None = None,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._certificate = certificate
        self._limits = limits or EdgeLimits()
        self._hurry = asyncio.Event()
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._scratch = memoryview(bytearray(READ_BYTES))
        self._watch: asyncio.Task[None] | None = None
        most = connection_limit(settings.max_connections, raise_descriptor_limit())
        self.connections = ConnectionRegistry(most, exempt=settings.trusted_proxies)
        self.app = App(settings, self.connections)

    async def __aenter__(self) -> Self:
        try:
            await self.app.__aenter__()
        except OSError as error:
            raise StartError(_spool_trouble(self._settings.spool_dir, error)) from error
        certificate = self._certificate
        if certificate is not None:
            self._watch = asyncio.create_task(certificate.watch())
        self._acceptor = Acceptor(
            self._listener,
            self.connections,
            self._connection,
            context=None if certificate is None else lambda: certificate.context,
            limits=self._limits,
        )
        self._acceptor.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            self._acceptor.stop()
            self._listener.close()
            if self._watch is not None:
                self._watch.cancel()
            await self._drain()
        finally:
            await self.app.__aexit__(None, None, None)

    def hurry(self) -> None:
        """End the drain now."""
        self._hurry.set()

    def reload_certificate(self) -> None:
        """Take up the certificate's files as they are now."""
        if self._certificate is not None:
            self._certificate.reload()

    def _connection(self, entry: RegisteredConnection) -> ClientConnection:
        return ClientConnection(
            entry,
            respond=self.app,
            writes=self.app.writes,
            registry=self.connections,
            limits=self._limits,
            scratch=self._scratch,
        )

    async def _drain(self) -> None:
        logger.info("draining: requests under way have %g s", self._settings.drain_s)
        # What has arrived on an idle connection is read first: it is a request that has begun.
        await asyncio.sleep(0)
        self.connections.drain()
        handshakes = asyncio.get_running_loop().call_later(
            self._limits.fresh_s, self._acceptor.end_handshakes
        )
        try:
            if await self._none_left(self._settings.drain_s, self._hurry.wait()):
                return
        finally:
            handshakes.cancel()
        logger.warning("%d connections are left; what runs on them is ended", len(self.connections))
        self._acceptor.end_handshakes()
        self.app.running.end_all(errors.proxy_stopping())
        if not await self._none_left(END_S):
            self.connections.cut()
            await self._none_left(END_S)

    async def _none_left(self, seconds: float, *sooner: Coroutine[None, None, object]) -> bool:
        """Wait until no connection is left, at most so long, or until one of `sooner` has returned."""
        tasks = [asyncio.ensure_future(wait) for wait in (self.connections.none_left(), *sooner)]
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        return not len(self.connections)


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


def _certificate(settings: ProxySettings) -> ServerCertificate | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        return ServerCertificate(settings.tls_cert, settings.tls_key)
    except OSError as error:  # ssl.SSLError is one
        raise StartError(
            f"LLAMA_PROXY_TLS_CERT and LLAMA_PROXY_TLS_KEY cannot be used: {error}"
        ) from error


def _spool_trouble(directory: Path, error: OSError) -> str:
    """Why the proxy cannot start with this directory, and what to do."""
    if error.errno in (errno.ENOLCK, errno.ENOTSUP):
        return (
            f"files in {directory} cannot be locked ({error.strerror}), as on some network file "
            "systems: set LLAMA_DATA_DIR to a directory on a local disk"
        )
    return (
        f"cannot write to {directory}: {error.strerror}; make it writable, or set LLAMA_DATA_DIR to a "
        "directory that is"
    )
