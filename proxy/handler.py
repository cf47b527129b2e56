"""The way of a request: authenticate, admit, relay, record.

Each step is a module of its own; this one puts them in order, and sees to it that whatever happens
the client gets an answer it can read and the request gets its row.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time

import psycopg
from aiohttp import web
from psycopg_pool import PoolTimeout

from proxy import errors
from proxy.auth import Authenticator
from proxy.config import ProxySettings
from proxy.errors import ApiError
from proxy.ids import new_request_id, public_form
from proxy.principal import Principal
from proxy.record import RequestRecord
from proxy.relay import Answer, Relay, UpstreamFailedError, check_body, read_body
from proxy.request_log import RequestLog
from proxy.running import Running, Ticket
from proxy.windows import Decision, Windows

logger = logging.getLogger("proxy.requests")

CLIENT_LEFT = 499
"""nginx's status for a request whose client left; it is only ever recorded."""

_PATHS = {
    "/v1/models": "GET",
    "/v1/completions": "POST",
    "/v1/chat/completions": "POST",
    "/v1/embeddings": "POST",
    "/v1/responses": "POST",
    "/v1/rerank": "POST",
    "/extras/tokenize": "POST",
    "/extras/tokenize/count": "POST",
    "/extras/detokenize": "POST",
}
"""What is forwarded: the paths of the API and their method, nothing else that an engine may serve."""
_MODEL_PATH = re.compile(r"/v1/models/[A-Za-z0-9][A-Za-z0-9._~:@+/-]*")


def check_path(method: str, path: str) -> None:
    """Refuse what is no path of the API.

    Raises:
        ApiError: 404 or 405. Paths are compared as they came: an encoded or doubled slash or a dot
            segment matches nothing.
    """
    allowed = _PATHS.get(path)
    if allowed is None and _MODEL_PATH.fullmatch(path) and "/." not in path and "//" not in path:
        allowed = "GET"
    if allowed is None:
        raise errors.unknown_url(method, path)
    if method != allowed:
        raise errors.method_not_allowed(method, path, allowed)


class Exchange:
    """One request and what becomes of it."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.id = new_request_id()
        self.arrived = time.monotonic()
        self.arrived_at = time.time()
        self.path = request.raw_path.partition("?")[0]
        self.decision: Decision | None = None
        self.answer = Answer()
        self.record: RequestRecord | None = None

    def begin_record(self, principal: Principal) -> None:
        """Begin the record, now that it is known whose request this is."""
        self.record = RequestRecord(
            id=self.id,
            created_at=self.arrived_at,
            username=principal.username,
            user_id=principal.user_id,
            key_id=principal.key_id,
            method=self.request.method[:16],
            path=self.path[:256],
        )

    def headers(self) -> dict[str, str]:
        """The headers of our own that go on every answer."""
        headers = {
            "Server": "llamaserve",
            "x-request-id": public_form(self.id),
            "openai-processing-ms": str(round(self.elapsed_ms())),
        }
        if self.decision is not None:
            headers["x-ratelimit-limit-requests"] = str(self.decision.limit)
            headers["x-ratelimit-remaining-requests"] = str(self.decision.remaining)
            headers["x-ratelimit-reset-requests"] = errors.duration(self.decision.reset_s)
        return headers

    def elapsed_ms(self, until: float | None = None) -> float:
        return ((time.monotonic() if until is None else until) - self.arrived) * 1000

    def error_response(self, error: ApiError) -> web.Response:
        return web.Response(
            status=error.status,
            body=error.body(),
            content_type="application/json",
            headers=error.headers | self.headers(),
        )


class Handler:
    """aiohttp's request handler for everything but the health routes."""

    def __init__(
        self,
        *,
        settings: ProxySettings,
        authenticator: Authenticator,
        windows: Windows,
        relay: Relay,
        request_log: RequestLog,
        running: Running,
    ) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._windows = windows
        self._relay = relay
        self._log = request_log
        self._running = running
        self._histories: dict[int, asyncio.Task[None]] = {}

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        exchange = Exchange(request)
        try:
            # Several are no key at all: which one counts would have to be guessed.
            sent = request.headers.getall("Authorization", [])
            principal = await self._authenticator.authenticate(sent[0] if len(sent) == 1 else None)
        except ApiError as error:
            _log_line(exchange, error.status, error.error)
            return exchange.error_response(error)
        except Exception:
            logger.exception("request %s failed", public_form(exchange.id))
            return exchange.error_response(errors.internal())
        exchange.begin_record(principal)
        with self._running.entered(principal) as ticket:
            try:
                return await self._guarded(exchange, principal, ticket)
            except asyncio.CancelledError:
                self._end(exchange, CLIENT_LEFT, "client_left")
                raise
            except ConnectionError:
                self._end(exchange, CLIENT_LEFT, "client_left")
                return web.Response(status=CLIENT_LEFT)  # nobody is there to read it

    async def _guarded(
        self, exchange: Exchange, principal: Principal, ticket: Ticket
    ) -> web.StreamResponse:
        """Serve, and turn whatever goes wrong on our side into an answer."""
        try:
            return await self._serve(exchange, principal)
        except ApiError as error:
            return await self._fail(exchange, error)
        except UpstreamFailedError as failure:
            return await self._fail(exchange, failure.error)
        except ConnectionError:
            raise
        except asyncio.CancelledError:
            if ticket.error is None:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            return await self._fail(exchange, ticket.error)
        except Exception:
            logger.exception("request %s failed", public_form(exchange.id))
            return await self._fail(exchange, errors.internal())

    async def _serve(self, exchange: Exchange, principal: Principal) -> web.StreamResponse:
        request = exchange.request
        check_path(request.method, exchange.path)
        check_body(request, self._settings.max_body_bytes)
        await self._admit(exchange, principal)
        body = await read_body(request, self._settings.max_body_bytes)
        assert exchange.record is not None
        exchange.record.request_bytes = len(body)
        return await self._relay.forward(
            request,
            body,
            request_id=exchange.id,
            headers=exchange.headers,
            answer=exchange.answer,
            before_end=lambda: self._end(exchange, exchange.answer.status_code, None),
        )

    async def _admit(self, exchange: Exchange, principal: Principal) -> None:
        """Take a place in the user's window, or refuse."""
        limit = principal.rate_limit or self._settings.rate_limit
        window_s = principal.rate_window_s or self._settings.rate_window_s
        user_id = principal.user_id
        while self._windows.needs_history(user_id, window_s=window_s, now=time.monotonic()):
            # Read once for all that wait: a hundred requests after a restart need one query.
            task = self._histories.get(user_id)
            if task is None:
                task = asyncio.create_task(self._give_history(principal, window_s))
                self._histories[user_id] = task
                task.add_done_callback(lambda _: self._histories.pop(user_id, None))
            await asyncio.shield(task)
        decision = self._windows.admit(user_id, limit=limit, window_s=window_s, now=time.monotonic())
        exchange.decision = decision
        if not decision.admitted:
            raise errors.rate_limited(
                limit=limit, window_s=window_s, retry_after_s=decision.retry_after_s
            )
        assert exchange.record is not None
        exchange.record.admitted = True
        self._log.admitted(exchange.record)

    async def _give_history(self, principal: Principal, window_s: float) -> None:
        """Tell the windows what earlier processes admitted, so that a restart frees nobody's limit."""
        try:
            ages = await self._log.history(
                username=principal.username, user_id=principal.user_id, window_s=window_s
            )
        except (psycopg.Error, PoolTimeout, OSError, TimeoutError) as error:
            logger.warning("a user's window cannot be rebuilt: %s", error)
            raise errors.auth_unavailable() from error
        now = time.monotonic()
        admissions = [(now - age, count) for age, count in ages]
        self._windows.seed(principal.user_id, admissions, window_s=window_s)

    async def _fail(self, exchange: Exchange, error: ApiError) -> web.StreamResponse:
        """Answer with an error in the way that is still open."""
        response = exchange.answer.response
        if response is None or not response.prepared:
            answered = exchange.error_response(error)
            if exchange.request.method != "HEAD":
                exchange.answer.response_bytes = len(error.body())
            self._end(exchange, error.status, error.error)
            return answered
        if exchange.answer.stream:
            event = error.event()
            exchange.answer.response_bytes += len(event)
            self._end(exchange, error.status, error.error)
            await response.write(event)
            await response.write_eof()
        else:
            # Part of a plain body is out: only a broken connection says that it is not whole.
            self._end(exchange, error.status, error.error)
            if exchange.request.transport is not None:
                exchange.request.transport.abort()
        return response

    def _end(self, exchange: Exchange, status: int | None, error: str | None) -> None:
        """Record the end of a request; only the first call counts."""
        record, exchange.record = exchange.record, None
        if record is None:
            return
        answer = exchange.answer
        record.status_code = status
        record.error = error
        record.latency_ms = exchange.elapsed_ms()
        if answer.first_byte_at is not None:
            record.ttft_ms = exchange.elapsed_ms(answer.first_byte_at)
        record.response_bytes = answer.response_bytes
        record.stream = answer.stream
        record.model = answer.scanner.model()
        record.prompt_tokens, record.completion_tokens = answer.scanner.usage()
        self._log.ended(record)
        _log_line(exchange, status, error, username=record.username)


def _log_line(
    exchange: Exchange, status: int | None, error: str | None, *, username: str | None = None
) -> None:
    logger.info(
        "request",
        extra={
            "fields": {
                "request_id": public_form(exchange.id),
                "client": exchange.request.remote,
                "client_request_id": exchange.request.headers.get("X-Request-ID", "")[:128] or None,
                "user": username,
                "method": exchange.request.method,
                "path": exchange.path[:256],
                "status": status,
                "latency_ms": round(exchange.elapsed_ms(), 3),
                "response_bytes": exchange.answer.response_bytes,
                "error": error,
            }
        },
    )
