"""Serving: uvicorn with the dashboard's bounds and certificate, until a signal."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack

import uvicorn

from proxy.background import background
from proxy.dashboard.access.guard import Guard
from proxy.dashboard.app import open_dashboard
from proxy.dashboard.connections import BoundedConnection
from proxy.dashboard.listener import MAX_CONNECTIONS, Listener, listen
from proxy.dashboard.settings import DashboardSettings
from proxy.tls import ServerCertificate

logger = logging.getLogger(__name__)

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
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        raise StartError(
            f"cannot listen on {settings.host} port {settings.port}: set LLAMA_DASHBOARD_HOST and "
            "LLAMA_DASHBOARD_PORT to an address and port that are free"
        ) from error
    async with AsyncExitStack() as stack:
        stack.callback(listening.close)
        guard = await stack.enter_async_context(open_dashboard(settings))
        if certificate is not None:
            await stack.enter_async_context(background(certificate.watch()))
        server = _Server(settings, guard, listening, certificate)
        logger.info("listening on %s port %d", settings.host, settings.port)
        await server.serve()
    logger.info("stopped")


class _Server(uvicorn.Server):
    """uvicorn, but for how connections are accepted."""

    def __init__(
        self,
        settings: DashboardSettings,
        guard: Guard,
        listening: socket.socket,
        certificate: ServerCertificate | None,
    ) -> None:
        super().__init__(_uvicorn_config(guard))
        self._listening = listening
        self._certificate = certificate
        self._exempt = settings.trusted_proxies

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections from now on."""
        certificate = self._certificate
        listener = Listener(
            self._listening,
            self._connection,
            peers=self._peers,
            context=None if certificate is None else lambda: certificate.context,
            exempt=self._exempt,
        )
        self.servers = [listener]  # type: ignore[list-item]
        self.started = True

    def _connection(self) -> BoundedConnection:
        return BoundedConnection(self.config, self.server_state, self.lifespan.state)

    def _peers(self) -> Iterator[str]:
        for one in self.server_state.connections:
            client = getattr(one, "client", None)
            yield client[0] if client else ""


def _uvicorn_config(guard: Guard) -> uvicorn.Config:
    config = uvicorn.Config(
        guard,
        http=BoundedConnection,
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
    return config


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Starlette's middleware fails like this where a browser leaves before its response."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and str(error) == "No response returned.")


def _certificate(settings: DashboardSettings) -> ServerCertificate | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        return ServerCertificate(settings.tls_cert, settings.tls_key)
    except OSError as error:  # ssl.SSLError is one
        raise StartError(
            f"LLAMA_PROXY_TLS_CERT and LLAMA_PROXY_TLS_KEY cannot be used: {error}"
        ) from error
