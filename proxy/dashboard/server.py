"""The listening socket, TLS and signals."""

from __future__ import annotations

import logging
import ssl
from contextlib import AsyncExitStack
from typing import Any

import uvicorn

from proxy.background import background
from proxy.dashboard.access.guard import Guard
from proxy.dashboard.app import open_dashboard
from proxy.dashboard.connections import BoundedConnection
from proxy.dashboard.settings import DashboardSettings
from proxy.tls import ServerCertificate

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 512
MAX_MESSAGE_BYTES = 1_000_000
STOP_S = 3
"""How long responses may take when the dashboard stops."""


class StartError(Exception):
    """The dashboard cannot start; the text says why and what to do."""


async def serve(settings: DashboardSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        StartError: the port is taken, or the certificate cannot be used.
    """
    certificate = _certificate(settings)
    async with AsyncExitStack() as stack:
        guard = await stack.enter_async_context(open_dashboard(settings))
        if certificate is not None:
            await stack.enter_async_context(background(certificate.watch()))
        server = uvicorn.Server(_uvicorn_config(settings, guard, certificate))
        logger.info("listening on %s port %d", settings.host, settings.port)
        try:
            await server.serve()
        except SystemExit as end:
            raise StartError(
                f"cannot listen on {settings.host} port {settings.port}: set LLAMA_DASHBOARD_HOST and "
                "LLAMA_DASHBOARD_PORT to an address and port that are free"
            ) from end
    logger.info("stopped")


def _uvicorn_config(
    settings: DashboardSettings, guard: Guard, certificate: ServerCertificate | None
) -> uvicorn.Config:
    class Connection(BoundedConnection):
        exempt = settings.trusted_proxies

    config = uvicorn.Config(
        guard,
        http=Connection,
        host=settings.host,
        port=settings.port,
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        proxy_headers=False,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=STOP_S,
    )
    config.load()
    logging.getLogger("uvicorn.error").addFilter(_is_worth_a_line)
    if certificate is not None:
        config.ssl = _renewing(certificate)
    return config


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Starlette's middleware fails like this where a browser leaves before its response."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and str(error) == "No response returned.")


def _renewing(certificate: ServerCertificate) -> ssl.SSLContext:
    """A context whose handshakes use the certificate as it is then."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: Any) -> None:
        connection.context = certificate.context

    context.sni_callback = choose
    return context


def _certificate(settings: DashboardSettings) -> ServerCertificate | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        return ServerCertificate(settings.tls_cert, settings.tls_key)
    except OSError as error:  # ssl.SSLError is one
        raise StartError(
            f"LLAMA_PROXY_TLS_CERT and LLAMA_PROXY_TLS_KEY cannot be used: {error}"
        ) from error
