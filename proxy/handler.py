"""The way of a request: authenticate, admit, take a turn, relay, record.

Each step is a module of its own; this one puts them in order, and sees to it that whatever happens
the client gets an answer it can read, the request gets its row, and its turn is given back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus

from aiohttp import web

from proxy import errors
from proxy.admission import Admitter, limits_of, refusal, tokens_refused
from proxy.auth import Authenticator
from proxy.body import BodyMemory, check_body, read_body, wants_stream
from proxy.client_address import client_address
from proxy.config import ProxySettings
from proxy.errors import ApiError
from proxy.exchange import Exchange
from proxy.gate import Place
from proxy.ids import public_form
from proxy.paths import route_of
from proxy.relay import EngineAwayError, Relay, UpstreamFailedError
from proxy.request_log import RequestLog
from proxy.running import Running, Ticket
from proxy.stalls import Stalls
from proxy.turns import Turns

logger = logging.getLogger("proxy.requests")

CLIENT_LEFT = 499
"""nginx's status for a request whose client left; it is only ever recorded."""


class Handler:
    """aiohttp's request handler for everything but the health routes."""

    def __init__(
        self,
        *,
        settings: ProxySettings,
        authenticator: Authenticator,
        admitter: Admitter,
        turns: Turns,
        relay: Relay,
        request_log: RequestLog,
        running: Running,
        stalls: Stalls,
        body_memory: BodyMemory,
    ) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._admitter = admitter
        self._turns = turns
        self._relay = relay
        self._log = request_log
        self._running = running
        self._stalls = stalls
        self._body_memory = body_memory

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        exchange = Exchange(request, client_address(request, self._settings.trusted_proxies))
        try:
            # Several are no key at all: which one counts would have to be guessed.
            sent = request.headers.getall("Authorization", [])
            principal = await self._authenticator.authenticate(
                sent[0] if len(sent) == 1 else None, exchange.client
            )
        except ApiError as error:
            # A flood of guesses is to cost next to nothing; the authenticator tells of it.
            if error.status != HTTPStatus.TOO_MANY_REQUESTS:
                _log_line(exchange, error.status, error.error)
            return exchange.error_response(error)
        except Exception:
            logger.exception("request %s failed", public_form(exchange.id))
            return exchange.error_response(errors.internal())
        exchange.begin_record(principal)
        with self._running.entered(principal) as ticket:
            try:
                return await self._guarded(exchange, ticket)
            except asyncio.CancelledError:
                self._end_left(exchange)
                raise
            except ConnectionError:
                self._end_left(exchange)
                return web.Response(status=CLIENT_LEFT)  # nobody is there to read it
            finally:
                self._stalls.forget(exchange.answer)

    async def _guarded(self, exchange: Exchange, ticket: Ticket) -> web.StreamResponse:
        """Serve, and turn whatever goes wrong on our side into an answer."""
        try:
            return await self._serve(exchange)
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

    async def _serve(self, exchange: Exchange) -> web.StreamResponse:
        request, principal = exchange.request, exchange.principal
        exchange.route = route = route_of(request.method, exchange.path)
        check_body(request, self._settings.max_body_bytes)
        self._turns.check_room(route, principal)
        await self._admit(exchange)
        with self._body_memory.share(principal.user_id) as take:
            exchange.body = await read_body(request, self._settings.max_body_bytes, take)
            assert exchange.record is not None
            exchange.record.request_bytes = len(exchange.body)
            self._stalls.watch(request, exchange.answer)
            return await self._answer(exchange)

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        """Let a request that has come whole take its turn."""
        exchange.place = place = self._turns.enter(exchange.route, exchange.principal)
        try:
            await self._take_turns(exchange, place)
            # The engine is free by now: who reads slowly from here on holds up nobody.
            self._turns.leave(place)
            return await exchange.answer.end()
        finally:
            self._turns.leave(place)

    async def _admit(self, exchange: Exchange) -> None:
        """Take a place in the user's windows, or refuse."""
        principal, record = exchange.principal, exchange.record
        assert record is not None
        generates = exchange.route.generates
        exchange.admission = admission = await self._admitter.admit(principal, generates=generates)
        if admission.entry is None:
            raise refusal(admission, limits_of(principal, self._settings))
        record.admitted = True
        record.admitted_at = time.time()
        self._log.admitted(record)

    async def _take_turns(self, exchange: Exchange, place: Place) -> None:
        """Wait for a turn and relay; again, where there was no engine."""
        while True:
            if not place.running:
                await self._turns.wait(place, lambda ahead: self._tell(exchange, place, ahead))
                await self._check_tokens(exchange)
            exchange.sent = True
            try:
                await self._relay.forward(
                    exchange.request,
                    exchange.body,
                    request_id=exchange.id,
                    headers=exchange.headers,
                    answer=exchange.answer,
                    before_end=lambda: self._end(exchange, exchange.answer.status_code, None),
                )
            except EngineAwayError:
                exchange.sent = False
                self._turns.engine_lost(place)
            else:
                return

    async def _tell(self, exchange: Exchange, place: Place, ahead: int) -> None:
        """Let a client that waits for a stream know that it is not forgotten."""
        request, answer = exchange.request, exchange.answer
        if exchange.wants_events is None:
            exchange.wants_events = exchange.route.streams and await wants_stream(exchange.body)
        # It may have got its turn meanwhile: then the answer's head is the engine's to give.
        if exchange.wants_events and place.waiting:
            if not answer.begun:
                await answer.begin_events(request, exchange.headers())
            word = f": queued, {ahead} ahead\n\n".encode()
            await answer.write(word)

    async def _check_tokens(self, exchange: Exchange) -> None:
        """After a wait: what ran before this request may have used up its user's tokens."""
        if exchange.route.generates:
            tokens = await self._admitter.tokens_left(exchange.principal)
            if tokens is not None and not tokens.admitted:
                assert exchange.admission is not None
                exchange.admission.tokens = tokens
                raise tokens_refused(tokens, limits_of(exchange.principal, self._settings))

    async def _fail(self, exchange: Exchange, error: ApiError) -> web.StreamResponse:
        """Answer with an error in the way that is still open."""
        if not exchange.sent:
            self._give_back(exchange)
        answer = exchange.answer
        if not answer.begun:
            answered = exchange.error_response(error)
            if exchange.request.method != "HEAD":
                answer.response_bytes = len(error.body())
            self._end(exchange, error.status, error.error)
            return answered
        assert answer.response is not None
        if exchange.record is None and not answer.ended:
            return await answer.end()  # what failed came after the last of the answer
        if answer.stream and not answer.ended:
            event = answer.scanner.rest_of_event() + error.event()
            answer.response_bytes += len(event)
            self._end(exchange, error.status, error.error)
            await answer.send(event)
            return await answer.end()
        # Part of a plain body is out: only a broken connection says that it is not whole.
        self._end(exchange, error.status, error.error)
        answer.break_off(exchange.request)
        return answer.response

    def _give_back(self, exchange: Exchange) -> None:
        """A request that we refuse before the engine saw it uses up nothing."""
        record, admission = exchange.record, exchange.admission
        if record is None or admission is None or admission.entry is None:
            return
        self._admitter.give_back(exchange.principal, admission)
        admission.entry = None
        admission.requests.remaining += 1
        record.admitted = False
        record.admitted_at = None

    def _end_left(self, exchange: Exchange) -> None:
        reason = "client_stalled" if exchange.answer.stalled else "client_left"
        self._end(exchange, CLIENT_LEFT, reason)

    def _end(self, exchange: Exchange, status: int | None, error: str | None) -> None:
        """Record the end of a request; only the first call counts."""
        record, exchange.record = exchange.record, None
        if record is None:
            return
        exchange.complete(record, status, error)
        self._log.ended(record)
        if record.admitted:
            self._admitter.charge(exchange.principal, record.tokens_charged())
        _log_line(exchange, status, error, username=record.username, queue_ms=record.queue_ms)


def _log_line(
    exchange: Exchange,
    status: int | None,
    error: str | None,
    *,
    username: str | None = None,
    queue_ms: float | None = None,
) -> None:
    logger.info(
        "request",
        extra={
            "fields": {
                "request_id": public_form(exchange.id),
                "client": exchange.client,
                "client_request_id": exchange.request.headers.get("X-Request-ID", "")[:128] or None,
                "user": username,
                "method": exchange.request.method,
                "path": exchange.path[:256],
                "status": status,
                "latency_ms": round(exchange.elapsed_ms(), 3),
                "queue_ms": None if queue_ms is None else round(queue_ms, 3),
                "response_bytes": exchange.answer.response_bytes,
                "error": error,
            }
        },
    )
