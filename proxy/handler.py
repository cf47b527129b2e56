"""Handles one request: authenticate, admit, wait for a turn, relay, record.

Other modules implement the steps; this module calls them in order. Whatever happens, the client gets a
valid response, the request gets one row in the database, and its turn ends.

A turn begins when the request is sent to the engine and ends with the engine's last byte. Bytes that
the client has not read by then wait in memory (`edge/slow_clients.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from http import HTTPStatus

from proxy import errors
from proxy.addresses import client_address
from proxy.early_checks import EarlyChecks
from proxy.edge.body import Body, BodyMemory, check_body, wants_stream
from proxy.edge.request import Request
from proxy.edge.slow_clients import SlowClients
from proxy.errors import ApiError
from proxy.exchange import Exchange
from proxy.identity.active_requests import ActiveRequests
from proxy.identity.authenticator import Authenticator
from proxy.identity.credentials import key_of
from proxy.identity.principal import Principal
from proxy.ratelimit.admission import Admitter, effective_limits, limit_error, tokens_refused
from proxy.ratelimit.usage_report import UsageReports
from proxy.records.access_log import AccessLog
from proxy.records.record import RequestRecord
from proxy.records.request_ids import public_form
from proxy.records.request_log import RequestLog
from proxy.scheduling.fair_queue import QueueEntry
from proxy.scheduling.turns import Turns
from proxy.settings import ProxySettings
from proxy.settlement import Settlements
from proxy.upstream.relay import EngineAwayError, Relay, UpstreamFailedError, UpstreamResponse
from proxy.upstream.routes import route_of

logger = logging.getLogger("proxy.requests")

CLIENT_LEFT = 499
"""The recorded status of a request whose client left, as in nginx. It is never sent."""
NOBODY = Principal(
    public_id="", key_id=0, user_id=0, username="", is_active=False, revoked=True, expires_at=None,
    rate_limit=None, rate_window_s=None,
)  # fmt: skip
"""Placeholder principal for logging failed authentication."""


class Handler:
    """Answers all requests but those for the health routes."""

    def __init__(
        self,
        *,
        settings: ProxySettings,
        authenticator: Authenticator,
        admitter: Admitter,
        turns: Turns,
        relay: Relay,
        early_checks: EarlyChecks,
        settlements: Settlements,
        request_log: RequestLog,
        access_log: AccessLog,
        running: ActiveRequests,
        slow_clients: SlowClients,
        body_memory: BodyMemory,
    ) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._admitter = admitter
        self._usage_reports = UsageReports(admitter, settings)
        self._turns = turns
        self._relay = relay
        self._early_checks = early_checks
        self._settlements = settlements
        self._log = request_log
        self._access_log = access_log
        self._running = running
        self._slow_clients = slow_clients
        self._body_memory = body_memory
        self.under_way: dict[str, Exchange] = {}
        """The requests that run or wait, by id."""

    async def __call__(self, request: Request) -> None:
        """Answer one request.

        Raises:
            ConnectionError: the client has gone.
        """
        client = request.client.remote
        if self._settings.trusted_proxies:
            client = client_address(client, request.headers, self._settings.trusted_proxies)
        exchange = Exchange(request, client)
        # The other headers that may hold a key are looked at in `_identify`.
        values = request.headers.getall("Authorization", ())
        header = values[0] if len(values) == 1 else None
        principal = self._authenticator.known(header)
        if principal is None:
            principal = await self._identify(exchange)
            if principal is None:
                return
        record = exchange.begin_record(principal)
        exchange.active = active = self._running.enter(request.task, principal)
        self.under_way[exchange.id] = exchange
        try:
            await self._serve(exchange, record)
        except (ConnectionError, asyncio.CancelledError) as end:
            if active.error is None or isinstance(end, ConnectionError):
                reason = "client_stalled" if exchange.response.stalled else "client_left"
                self._end(exchange, CLIENT_LEFT, reason)
                raise
            active.task.uncancel()
            self._fail(exchange, active.error)
        except ApiError as error:
            self._fail(exchange, error)
        except UpstreamFailedError as failure:
            self._fail(exchange, failure.error)
        except Exception:
            logger.exception("request %s failed", public_form(exchange.id))
            self._fail(exchange, errors.internal())
        finally:
            del self.under_way[exchange.id]
            self._running.leave(active)
            if exchange.response.watched:
                self._slow_clients.release(exchange.response)
            entry = exchange.queue_entry
            if entry is not None and not exchange.settling:
                entry.queue.leave(entry)

    async def _identify(self, exchange: Exchange) -> Principal | None:
        """Return the principal, or None after a refusal has been sent."""
        request = exchange.request
        try:
            key = key_of(request.headers, request.target)
            return await self._authenticator.authenticate(key, exchange.client)
        except ApiError as error:
            # A 429 gets no record: a flood of guessed keys must stay cheap. The authenticator logs it.
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
        if route.work == "own":
            await self._tell_usage(exchange)
            return
        self._turns.check_room(route, principal)
        exchange.admission = admission = await self._admitter.admit(principal, generates=route.generates)
        if admission.entry is None:
            raise limit_error(admission, effective_limits(principal, settings))
        record.admitted = True
        record.admitted_at = time.time()
        exchange.body = body = Body(self._body_memory, principal.user_id)
        try:
            await body.read(request, settings.max_body_bytes)
            record.request_bytes = len(body.content)
            exchange.queue_entry = entry = self._turns.enter(route, principal)
            # The admission is logged only now: bodies that are refused and requests that find the queue
            # full may be many, and the log folds refusals into one row only if they have no admission.
            exchange.admission_noted = True
            self._log.admitted(record)
            await self._take_turns(exchange, entry)
        finally:
            body.leave()
        if exchange.record is not None:
            self._charge(exchange, exchange.record)
        # The engine has finished, so the turn ends: a slow client does not delay other requests.
        entry.queue.leave(entry)
        response = exchange.response
        if exchange.record is not None:  # the client is slow: the end of the response is not sent yet
            self._slow_clients.watch(response, principal.user_id)
            await response.drained()
            self._end(exchange)
        response.end()
        if request.client.writing_paused:
            self._slow_clients.watch(response, principal.user_id)
            await response.drained()

    async def _tell_usage(self, exchange: Exchange) -> None:
        """Answer with the user's limits and what is used of them. Counts against none of them."""
        response = exchange.response
        exchange.admission, body = await self._usage_reports.read(exchange.principal)
        response.whole(HTTPStatus.OK, exchange.headers(), body)
        response.response_bytes = len(body)
        self._end(exchange, HTTPStatus.OK)

    async def _take_turns(self, exchange: Exchange, entry: QueueEntry) -> None:
        """Wait for a turn and relay the request; repeat if the engine could not be reached."""
        while True:
            if not entry.running:
                await self._wait_for_turn(exchange, entry)
                await self._check_tokens(exchange)
            exchange.sent = True
            try:
                await self._relay_once(exchange)
            except EngineAwayError:
                exchange.sent = False
                self._turns.engine_lost(entry)
            else:
                return

    async def _wait_for_turn(self, exchange: Exchange, entry: QueueEntry) -> None:
        check = self._early_checks.start(exchange, exchange.active)
        try:
            await self._turns.wait(entry, partial(self._on_wait, exchange, entry))
        finally:
            if check is not None:
                check.cancel()

    async def _relay_once(self, exchange: Exchange) -> None:
        """Send the request to the engine and forward its response. `_serve` sends the end of it.

        Raises:
            EngineAwayError: the engine cannot be reached and has not received the request.
            ApiError: the engine failed before it responded: 502 or 504.
            UpstreamFailedError: the engine failed, or refused, after the response had begun.
            ConnectionError: the client has gone.
        """
        request, response, principal = exchange.request, exchange.response, exchange.principal
        client, scanner = request.client, response.scanner
        async with self._relay.send(
            request,
            exchange.body.content,
            request_id=exchange.id,
            user_id=principal.user_id,
            weight=principal.weight,
        ) as upstream:
            parser = upstream.parser
            await self._begin(exchange, upstream)
            ended = False
            while not ended:
                piece = upstream.take() if parser.pieces else await upstream.read()
                ended = parser.complete and not parser.pieces
                if piece:
                    if response.first_byte_at is None:
                        response.first_byte_at = time.monotonic()
                    response.response_bytes += len(piece)
                    scanner.feed(piece)
                # After [DONE] the client has everything: it may leave before the engine ends the stream.
                if ended or (response.stream and scanner.saw_done()):
                    if client.writing_paused or response.held_back:
                        response.write_but_the_end(piece)
                        continue
                    self._end(exchange)
                if piece:
                    response.write(piece)
                    if not ended and client.writing_paused:
                        await self._slow_clients.wait_for_room(response, principal.user_id)

    async def _begin(self, exchange: Exchange, upstream: UpstreamResponse) -> None:
        """Begin the client's response with the status and headers of the engine's response."""
        response, parser = exchange.response, upstream.parser
        response.status_code = parser.status
        response.scanner.header = parser.usage
        if exchange.request.begun:
            await upstream.check_is_stream()
            return
        response.stream = parser.event_stream
        lines = upstream.header_lines(exchange.headers())
        response.begin(parser.status, parser.reason, lines, length=parser.length)
        if not parser.pieces and not parser.complete and parser.length is None:
            # Send the head at once: the body may take long. One of known length follows directly, and
            # until then an error can have a status of its own.
            response.write(b"")

    async def _on_wait(self, exchange: Exchange, entry: QueueEntry, ahead: int) -> None:
        """Send a comment to a client that waits for a stream, so that its connection stays alive."""
        response = exchange.response
        if exchange.wants_events is None:
            exchange.wants_events = exchange.route.streams and await wants_stream(exchange.body.content)
        # If the request got its turn meanwhile, the engine's response provides the head.
        if exchange.wants_events and entry.waiting:
            if not exchange.request.begun:
                response.begin_events(exchange.headers())
            comment = f": queued, {ahead} ahead\n\n".encode()
            response.response_bytes += len(comment)
            response.write(comment)

    async def _check_tokens(self, exchange: Exchange) -> None:
        """Check the token limit again after a wait: earlier requests may have used it up.

        Raises:
            ApiError: 429, the user has no tokens left.
        """
        if exchange.route.generates:
            tokens = await self._admitter.tokens_left(exchange.principal)
            if tokens is not None and not tokens.admitted:
                assert exchange.admission is not None
                exchange.admission.tokens = tokens
                raise tokens_refused(tokens, effective_limits(exchange.principal, self._settings))

    def _fail(self, exchange: Exchange, error: ApiError) -> None:
        """Report an error to the client: as a response, as a stream event, or by a reset."""
        if not exchange.sent and not exchange.found_invalid:
            self._give_back(exchange)
        response = exchange.response
        if not exchange.request.begun or response.take_back():
            if exchange.request.method != "HEAD":
                response.response_bytes = len(exchange.error_body(error))
            self._end(exchange, error.status, error.error)
            exchange.refuse(error)
        elif exchange.record is None and not response.ended:
            response.end()  # the failure came after the complete response
        elif response.stream and not response.ended:
            event = exchange.error_event(error)
            response.response_bytes += len(event)
            self._end(exchange, error.status, error.error)
            response.write(response.held_back + event)
            response.held_back = b""
            response.end()
        else:
            # Part of a plain body has been sent: only a reset shows the client that it is incomplete.
            self._end(exchange, error.status, error.error)
            response.break_off()

    def _give_back(self, exchange: Exchange) -> None:
        """Undo the admission of a request that is refused before the engine has received it."""
        record, admission = exchange.record, exchange.admission
        if record is None or admission is None or admission.entry is None:
            return
        self._admitter.give_back(exchange.principal, admission)
        admission.entry = None
        admission.requests.remaining += 1
        record.admitted = False
        record.admitted_at = None

    def _end(self, exchange: Exchange, status: int | None = None, error: str | None = None) -> None:
        """Record and charge a request that has ended. Only the first call has an effect.

        `status` defaults to the engine's status. If the usage is not known, the engine is asked for it
        first, and the turn lasts until the engine has replied.
        """
        record, exchange.record = exchange.record, None
        if record is None:
            return
        exchange.complete(record, exchange.response.status_code if status is None else status, error)
        if error is not None and self._has_to_settle(exchange):
            exchange.settling = True
            self._settlements.start(exchange, partial(self._settled, exchange, record))
        else:
            self._record(exchange, record)

    def _has_to_settle(self, exchange: Exchange) -> bool:
        return (
            exchange.sent
            and exchange.route.generates
            and self._turns.engine_is_ours
            and exchange.response.scanner.final_usage() is None
        )

    def _settled(self, exchange: Exchange, record: RequestRecord) -> None:
        """Finish the work of `_end` after the engine has been asked for the usage."""
        try:
            self._record(exchange, record)
        finally:
            if exchange.queue_entry is not None:
                exchange.queue_entry.queue.leave(exchange.queue_entry)

    def _record(self, exchange: Exchange, record: RequestRecord) -> None:
        if record.admitted and not exchange.admission_noted:
            self._log.admitted(record)  # it counts against the limit: it needs a row of its own
        self._log.ended(record)
        self._charge(exchange, record)
        self._note(exchange, record)

    def _charge(self, exchange: Exchange, record: RequestRecord) -> None:
        """Charge the tokens that a request used. Only the first call that charges has an effect."""
        if exchange.charged or not record.admitted:
            return
        if not exchange.settling and exchange.record is record:  # the record is still open
            exchange.complete(record, exchange.response.status_code, None)
        again = exchange.charged is not None
        exchange.charged = self._admitter.charge(exchange.principal, record, again=again)

    def _note(self, exchange: Exchange, record: RequestRecord) -> None:
        """Write a line to the access log."""
        self._access_log.note(record, exchange.client, exchange.request.headers.get("X-Request-ID"))
