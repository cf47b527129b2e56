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
from http import HTTPStatus

from proxy import errors
from proxy.addresses import client_address
from proxy.dispatch.dispatcher import Dispatcher
from proxy.dispatch.early_checks import EarlyChecks
from proxy.dispatch.settlement import Accounts
from proxy.edge.body import Body, BodyMemory, check_body
from proxy.edge.request import Request
from proxy.edge.slow_clients import SlowClients
from proxy.errors import ApiError
from proxy.exchange import Exchange
from proxy.identity.active_requests import ActiveRequests
from proxy.identity.authentication.authenticator import Authenticator
from proxy.identity.authentication.credentials import key_of
from proxy.identity.principal import NOBODY, Principal
from proxy.own_paths import OWN_PATHS, OwnPaths
from proxy.ratelimit.admission import Admitter, effective_limits, limit_error
from proxy.records.record import RequestRecord
from proxy.records.request_ids import public_form
from proxy.scheduling.turns import Turns
from proxy.settings import ProxySettings
from proxy.upstream.failures import UpstreamFailedError
from proxy.upstream.relay import Relay
from proxy.upstream.routes import route_of

logger = logging.getLogger("proxy.requests")

CLIENT_LEFT = 499
"""The recorded status of a request whose client left, as in nginx. It is never sent."""


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
        own_paths: OwnPaths,
        accounts: Accounts,
        running: ActiveRequests,
        slow_clients: SlowClients,
        body_memory: BodyMemory,
    ) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._admitter = admitter
        self._own_paths = own_paths
        self._turns = turns
        self._relay = relay
        self._dispatcher = Dispatcher(
            settings=settings,
            turns=turns,
            admitter=admitter,
            early_checks=early_checks,
            relay_once=self._relay_once,
        )
        self._accounts = accounts
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
                self._accounts.end(exchange, CLIENT_LEFT, reason)
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
                self._accounts.note(exchange, record)
            exchange.refuse(error)
        except Exception:
            logger.exception("request %s failed", public_form(exchange.id))
            exchange.refuse(errors.internal())
        return None

    async def _serve(self, exchange: Exchange, record: RequestRecord) -> None:
        request, principal, settings = exchange.request, exchange.principal, self._settings
        if request.target.startswith(OWN_PATHS):
            await self._own_paths(exchange)
            return
        exchange.route = route = route_of(request.method, request.path)
        check_body(request, settings.max_body_bytes)
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
            # Only now: the log folds refusals, such as of bodies, into one row if none was admitted.
            exchange.admission_noted = True
            self._accounts.admitted(record)
            await self._dispatcher(exchange, entry)
        finally:
            body.leave()
        if exchange.record is not None:
            self._accounts.charge(exchange, exchange.record)
        # The engine has finished, so the turn ends: a slow client does not delay other requests.
        entry.queue.leave(entry)
        response = exchange.response
        if exchange.record is not None:  # the client is slow: the end of the response is not sent yet
            self._slow_clients.watch(response, principal.user_id)
            await response.drained()
            self._accounts.end(exchange)
        response.end()
        if request.client.writing_paused:
            self._slow_clients.watch(response, principal.user_id)
            await response.drained()

    async def _relay_once(self, exchange: Exchange, backend: int) -> None:
        """Send the request to the engine and forward its response. `_serve` sends the end of it.

        Raises:
            EngineAwayError: the engine cannot be reached and has not received the request.
            EngineBusyError: it is one of several and has no room for it.
            ApiError: the engine failed before it responded: 502 or 504.
            UpstreamFailedError: the engine broke off, or failed or refused after the response had begun.
            ConnectionError: the client has gone.
        """
        request, response, principal = exchange.request, exchange.response, exchange.principal
        client, scanner = request.client, response.scanner
        turns = self._turns
        if not (turns.engine_is_ours or (turns.several and turns.is_ours(backend))):
            await exchange.ask_for_usage()
        async with self._relay.send(
            request,
            exchange.body.content,
            request_id=exchange.id,
            user_id=principal.user_id,
            weight=principal.weight,
            hide_usage=exchange.hides_usage,
            backend=backend,
        ) as upstream:
            parser = upstream.parser
            await exchange.begin(upstream)
            ended = False
            while not ended:
                if not parser.pieces and not parser.complete:
                    await upstream.news()
                piece = upstream.take()
                ended = parser.complete and not parser.pieces
                if piece:
                    if response.first_byte_at is None:
                        response.first_byte_at = time.monotonic()
                    response.response_bytes += len(piece)
                    scanner.feed(piece)
                # After [DONE] the client has everything: it may leave before the engine ends the stream.
                if ended or (response.stream and scanner.done):
                    if client.writing_paused or response.held_back:
                        response.write_but_the_end(piece)
                        continue
                    self._accounts.end(exchange)
                if piece:
                    response.write(piece)
                    if not ended and client.writing_paused:
                        await self._slow_clients.wait_for_room(response, principal.user_id)

    def _fail(self, exchange: Exchange, error: ApiError) -> None:
        """Report an error to the client: as a response, as a stream event, or by a reset."""
        if not exchange.sent and not exchange.found_invalid:
            self._accounts.give_back(exchange)
        response = exchange.response
        if not exchange.request.begun or response.take_back():
            if exchange.request.method != "HEAD":
                response.response_bytes = len(exchange.error_body(error))
            self._accounts.end(exchange, error.status, error.error)
            exchange.refuse(error)
        elif exchange.record is None and not response.ended:
            response.end()  # the failure came after the complete response
        elif response.stream and not response.ended:
            event = exchange.error_event(error)
            response.response_bytes += len(event)
            self._accounts.end(exchange, error.status, error.error)
            response.write(response.held_back + event)
            response.held_back = b""
            response.end()
        else:
            # Part of a plain body has been sent: only a reset shows the client that it is incomplete.
            self._accounts.end(exchange, error.status, error.error)
            response.break_off()
