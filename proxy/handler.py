"""The way of a request: authenticate, admit, take a turn, relay, record.

Each step is a module of its own; this one puts them in order, and sees to it that whatever happens
the client gets an answer it can read, the request gets its row, and its turn is given back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from http import HTTPStatus

from proxy import errors
from proxy.edge.addresses import client_address
from proxy.edge.body import Body, BodyMemory, check_body, wants_stream
from proxy.edge.request import Request
from proxy.edge.slow_clients import SlowClients
from proxy.errors import ApiError
from proxy.exchange import Exchange
from proxy.identity.active_requests import ActiveRequests
from proxy.identity.authenticator import Authenticator
from proxy.identity.principal import Principal
from proxy.ratelimit.admission import Admitter, effective_limits, limit_error, tokens_refused
from proxy.records.access_log import AccessLog
from proxy.records.record import RequestRecord
from proxy.records.request_ids import public_form
from proxy.records.request_log import RequestLog
from proxy.scheduling.fair_queue import QueueEntry
from proxy.scheduling.turns import Turns
from proxy.settings import ProxySettings
from proxy.upstream.relay import EngineAwayError, Relay, UpstreamFailedError
from proxy.upstream.routes import route_of

logger = logging.getLogger("proxy.requests")

CLIENT_LEFT = 499
"""nginx's status for a request whose client left; it is only ever recorded."""
NOBODY = Principal(
    public_id="", key_id=0, user_id=0, username="", is_active=False, revoked=True, expires_at=None,
    rate_limit=None, rate_window_s=None,
)  # fmt: skip
"""Who sends a wrong key, for the log's line."""


class Handler:
    """Answers everything but the health routes."""

    def __init__(
        self,
        *,
        settings: ProxySettings,
        authenticator: Authenticator,
        admitter: Admitter,
        turns: Turns,
        relay: Relay,
        request_log: RequestLog,
        access_log: AccessLog,
        running: ActiveRequests,
        stalls: SlowClients,
        body_memory: BodyMemory,
    ) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._admitter = admitter
        self._turns = turns
        self._relay = relay
        self._log = request_log
        self._access_log = access_log
        self._running = running
        self._stalls = stalls
        self._body_memory = body_memory

    async def __call__(self, request: Request) -> None:
        """Answer one request.

        Raises:
            ConnectionError: its client has gone.
        """
        client = request.client.remote
        if self._settings.trusted_proxies:
            client = client_address(client, request.headers, self._settings.trusted_proxies)
        exchange = Exchange(request, client)
        # Several are no key at all: which one counts would have to be guessed.
        sent = request.headers.getall("Authorization", ())
        header = sent[0] if len(sent) == 1 else None
        principal = self._authenticator.known(header)
        if principal is None:
            principal = await self._identify(exchange, header)
            if principal is None:
                return
        record = exchange.begin_record(principal)
        ticket = self._running.enter(request.task, principal)
        try:
            await self._serve(exchange, record)
        except (ConnectionError, asyncio.CancelledError) as end:
            if ticket.error is None or isinstance(end, ConnectionError):
                reason = "client_stalled" if exchange.answer.stalled else "client_left"
                self._end(exchange, CLIENT_LEFT, reason)
                raise
            ticket.task.uncancel()
            self._fail(exchange, ticket.error)
        except ApiError as error:
            self._fail(exchange, error)
        except UpstreamFailedError as failure:
            self._fail(exchange, failure.error)
        except Exception:
            logger.exception("request %s failed", public_form(exchange.id))
            self._fail(exchange, errors.internal())
        finally:
            self._running.leave(ticket)
            self._stalls.watched.discard(exchange.answer)

    async def _identify(self, exchange: Exchange, header: str | None) -> Principal | None:
        """Whose request it is; None where it has been refused."""
        try:
            return await self._authenticator.authenticate(header, exchange.client)
        except ApiError as error:
            # A flood of guesses is to cost next to nothing; the authenticator tells of it.
            if error.status != HTTPStatus.TOO_MANY_REQUESTS:
                record = exchange.begin_record(NOBODY)
                exchange.complete(record, error.status, error.error)
                self._note(exchange, record)
            exchange.refuse(error)
        except Exception:
            logger.exception("request %s failed", public_form(exchange.id))
            exchange.refuse(errors.internal())
        return None

    async def _serve(self, exchange: Exchange, record: RequestRecord) -> None:
        request, principal, settings = exchange.request, exchange.principal, self._settings
        exchange.route = route = route_of(request.method, request.path)
        check_body(request, settings.max_body_bytes)
        self._turns.check_room(route, principal)
        exchange.admission = admission = await self._admitter.admit(principal, generates=route.generates)
        if admission.entry is None:
            raise limit_error(admission, effective_limits(principal, settings))
        record.admitted = True
        record.admitted_at = time.time()
        self._log.admitted(record)
        exchange.body = body = Body(self._body_memory, principal.user_id)
        try:
            await body.read(request, settings.max_body_bytes)
            record.request_bytes = len(body.content)
            self._stalls.watched.add(exchange.answer)
            exchange.place = place = self._turns.enter(route, principal)
            try:
                await self._take_turns(exchange, place)
            finally:
                # The engine is free by now: who reads slowly from here on holds up nobody.
                place.gate.leave(place)
            exchange.answer.end()
        finally:
            body.leave()

    async def _take_turns(self, exchange: Exchange, place: QueueEntry) -> None:
        """Wait for a turn and relay; again, where there was no engine."""
        while True:
            if not place.running:
                await self._turns.wait(place, lambda ahead: self._tell(exchange, place, ahead))
                await self._check_tokens(exchange)
            exchange.sent = True
            try:
                await self._relay.forward(
                    exchange.request,
                    exchange.body.content,
                    request_id=exchange.id,
                    headers=exchange.headers,
                    answer=exchange.answer,
                    before_end=partial(self._end, exchange),
                )
            except EngineAwayError:
                exchange.sent = False
                self._turns.engine_lost(place)
            else:
                return

    async def _tell(self, exchange: Exchange, place: QueueEntry, ahead: int) -> None:
        """Let a client that waits for a stream know that it is not forgotten."""
        answer = exchange.answer
        if exchange.wants_events is None:
            exchange.wants_events = exchange.route.streams and await wants_stream(exchange.body.content)
        # It may have got its turn meanwhile: then the answer's head is the engine's to give.
        if exchange.wants_events and place.waiting:
            if not exchange.request.begun:
                answer.begin_events(exchange.headers())
            word = f": queued, {ahead} ahead\n\n".encode()
            answer.response_bytes += len(word)
            answer.write(word)
            await answer.drained()

    async def _check_tokens(self, exchange: Exchange) -> None:
        """After a wait: what ran before this request may have used up its user's tokens."""
        if exchange.route.generates:
            tokens = await self._admitter.tokens_left(exchange.principal)
            if tokens is not None and not tokens.admitted:
                assert exchange.admission is not None
                exchange.admission.tokens = tokens
                raise tokens_refused(tokens, effective_limits(exchange.principal, self._settings))

    def _fail(self, exchange: Exchange, error: ApiError) -> None:
        """Answer with an error in the way that is still open."""
        if not exchange.sent:
            self._give_back(exchange)
        answer = exchange.answer
        if not exchange.request.begun:
            if exchange.request.method != "HEAD":
                answer.response_bytes = len(error.body())
            self._end(exchange, error.status, error.error)
            exchange.refuse(error)
        elif exchange.record is None and not answer.ended:
            answer.end()  # what failed came after the last of the answer
        elif answer.stream and not answer.ended:
            event = answer.scanner.rest_of_event() + error.event()
            answer.response_bytes += len(event)
            self._end(exchange, error.status, error.error)
            answer.write(event)
            answer.end()
        else:
            # Part of a plain body is out: only a broken connection says that it is not whole.
            self._end(exchange, error.status, error.error)
            answer.break_off()

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

    def _end(self, exchange: Exchange, status: int | None = None, error: str | None = None) -> None:
        """Record the end of a request, with the engine's status if none is given; once is enough."""
        record, exchange.record = exchange.record, None
        if record is None:
            return
        exchange.complete(record, exchange.answer.status_code if status is None else status, error)
        self._log.ended(record)
        if record.admitted:
            self._admitter.charge(exchange.principal, record)
        self._note(exchange, record)

    def _note(self, exchange: Exchange, record: RequestRecord) -> None:
        """Put a line into the log."""
        self._access_log.note(record, exchange.client, exchange.request.headers.get("X-Request-ID"))
