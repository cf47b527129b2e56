"""Answers the paths for operators. A response never waits for the engine."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from http import HTTPStatus

from proxy import errors
from proxy.addresses import client_address
from proxy.edge.request import Request
from proxy.errors import ApiError
from proxy.exchange import Exchange
from proxy.identity.authentication.authenticator import Authenticator
from proxy.identity.keys import PREFIX
from proxy.identity.principal import Principal
from proxy.metrics.exposition import CONTENT_TYPE, Metrics
from proxy.operators import openapi
from proxy.operators.access import administrator, is_local
from proxy.operators.api import LIVE, USER_LIMITS, AdminApi
from proxy.records.request_ids import public_form
from proxy.settings import ProxySettings

logger = logging.getLogger(__name__)

_KEY = re.compile(rf"({PREFIX}[A-Za-z0-9]{{4}})[A-Za-z0-9]{{9,}}")

METRICS, ADMIN = "/metrics", "/admin/"
OPENAPI, DOCS = "/admin/openapi.json", "/admin/docs"
PATHS = (METRICS, ADMIN)
"""How the targets of requests begin that may be for operators."""


class Operators:
    """Answers requests whose target begins with one of PATHS.

    `flush` is called before figures are read: it hands over the requests that have ended.
    """

    def __init__(
        self,
        settings: ProxySettings,
        *,
        authenticator: Authenticator,
        metrics: Metrics,
        api: AdminApi,
        flush: Callable[[], None],
    ) -> None:
        self._settings = settings
        self.authenticator = authenticator
        self.metrics = metrics
        self.api = api
        self._flush = flush

    async def __call__(self, request: Request) -> None:
        """Answer one request.

        Raises:
            ConnectionError: the client has gone.
        """
        trusted = self._settings.trusted_proxies
        exchange = Exchange(request, client_address(request.client.remote, request.headers, trusted))
        try:
            await self._answer(exchange)
        except ApiError as error:
            exchange.refuse(error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            logger.exception("request %s failed", public_form(exchange.id))
            exchange.refuse(errors.internal())

    async def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.path.startswith(ADMIN):
            await self._answer_administrator(exchange)
            return
        if request.path != METRICS:
            raise errors.unknown_url(request.method, request.path)
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed(request.method, request.path, "GET")
        keyless = self._settings.metrics_on_loopback and is_local(request, exchange.client)
        if not keyless:
            await administrator(self.authenticator, request, exchange.client)
        self._flush()
        text = self.metrics.text().encode("utf-8", "replace")
        exchange.response.whole(200, exchange.headers(), text, content_type=CONTENT_TYPE.encode())

    async def _answer_administrator(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.path in (OPENAPI, DOCS) and request.method in ("GET", "HEAD"):
            # The description is the same for every installation, and needs no key.
            self._describe(exchange)
            return
        principal = await administrator(self.authenticator, request, exchange.client)
        status: int | None = None
        try:
            status, body = await self.api.answer(request, principal)
        except ApiError as error:
            status = error.status
            raise
        finally:
            if status != HTTPStatus.OK or not _is_read_by_pages(request):
                self._note(exchange, principal, status)
        headers = exchange.headers() + b"Cache-Control: no-store\r\n"
        exchange.response.whole(status, headers, body)

    def _note(self, exchange: Exchange, principal: Principal, status: int | None) -> None:
        """Write a line to the log, like those of the access log."""
        fields = {
            "request_id": public_form(exchange.id),
            "client": exchange.client,
            "user": principal.username,
            "method": exchange.request.method[:16],
            # A whole key in place of its public id is not for the log.
            "path": _KEY.sub(r"\1…", exchange.path[:256]),
            "status": status,
        }
        logger.info("admin request", extra={"fields": fields})

    def _describe(self, exchange: Exchange) -> None:
        if exchange.request.path == OPENAPI:
            exchange.response.whole(200, exchange.headers(), openapi.document())
            return
        policy = f"Content-Security-Policy: {openapi.CONTENT_SECURITY_POLICY}\r\n".encode()
        exchange.response.whole(
            200, exchange.headers() + policy, openapi.page(), content_type=b"text/html; charset=utf-8"
        )


def _is_read_by_pages(request: Request) -> bool:
    """Whether open pages of the dashboard ask for this again and again."""
    return request.method == "GET" and (
        request.path == LIVE or USER_LIMITS.fullmatch(request.path) is not None
    )
