"""The listening socket, TLS, signals and the drain."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl

from aiohttp import web

from proxy.app import TURNS, create_app
from proxy.config import ProxySettings

logger = logging.getLogger(__name__)

KEEPALIVE_S = 75.0
BACKLOG = 1024
INHERITED_FD = "LLAMASERVE_LISTEN_FD"
"""In the environment: the number of a listening socket that the supervisor hands down."""


RESTART_COMES = signal.SIGUSR1
"""Sent by `console.sh restart server` before it stops the model server."""


class StartError(Exception):
    """The proxy cannot start; the text says why and what to do."""


async def serve(settings: ProxySettings) -> None:
    """Serve until SIGTERM or SIGINT, then stop accepting, let requests finish, and return.

    Requests still running after `settings.drain_s` are ended. SIGUSR1 says that the model server is
    about to be restarted.

    Raises:
        StartError: the port is taken, or the certificate cannot be used.
    """
    context = _tls_context(settings)
    listener = _listener(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = create_runner(settings)
    loop.add_signal_handler(RESTART_COMES, _expect_restart, runner.app)
    try:
        await runner.setup()
    except OSError as error:
        raise StartError(
            f"cannot write to {settings.spool_dir}: {error.strerror}; make it writable, or set "
            "LLAMA_DATA_DIR to a directory that is"
        ) from error
    try:
        await web.SockSite(runner, listener, ssl_context=context, backlog=BACKLOG).start()
        logger.info("listening on %s port %d", *listener.getsockname()[:2])
        await stop.wait()
        logger.info("draining: requests under way have %g s", settings.drain_s)
    finally:
        await runner.cleanup()
    logger.info("stopped")


def _expect_restart(app: web.Application) -> None:
    turns = app.get(TURNS)
    if turns is not None:
        turns.expect_restart()


def create_runner(settings: ProxySettings) -> web.AppRunner:
    """The application with all that the server around it must be told."""
    return web.AppRunner(
        create_app(settings),
        handler_cancellation=True,
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        # aiohttp waits so long twice over, and for ever when told 0.
        shutdown_timeout=max(settings.drain_s / 2, 0.01),
        auto_decompress=False,
    )


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
