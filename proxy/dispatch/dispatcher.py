"""Takes a request to an engine: waits for its turn, has the engine chosen, and tries again where it may.

Leaves the sending itself to the handler, and to `scheduling` whose turn it is and which engine is used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from proxy.dispatch.early_checks import EarlyChecks
from proxy.edge.body import wants_stream
from proxy.exchange import Exchange
from proxy.ratelimit.admission import Admitter, effective_limits, tokens_refused
from proxy.scheduling.conversations import Beginnings, beginnings_of
from proxy.scheduling.fair_queue import QueueEntry
from proxy.scheduling.turns import Turns
from proxy.settings import ProxySettings
from proxy.upstream.failures import EngineAwayError, EngineBusyError, UpstreamFailedError


class Dispatcher:
    """Takes requests to engines. `relay_once` sends a request to the backend of an index."""

    def __init__(
        self,
        *,
        settings: ProxySettings,
        turns: Turns,
        admitter: Admitter,
        early_checks: EarlyChecks,
        relay_once: Callable[[Exchange, int], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._turns = turns
        self._admitter = admitter
        self._early_checks = early_checks
        self._relay_once = relay_once

    async def __call__(self, exchange: Exchange, entry: QueueEntry) -> None:
        """Wait for a turn and relay the request; repeat if an engine could not be reached, or is full.

        Of several engines, another one is tried too if one breaks off before the first byte, but once
        only: the request itself may be what brings engines down.
        """
        turns, user_id, tried = self._turns, exchange.principal.user_id, False
        beginnings: Beginnings = ()
        if turns.several:
            beginnings = await beginnings_of(exchange.path, exchange.body.content)
        while True:
            if not entry.running:
                await self._wait_for_turn(exchange, entry)
                await self._check_tokens(exchange)
            if turns.several:
                backend = turns.assign(entry, user_id, beginnings)
                if backend is None:
                    continue
                exchange.note_backend(self._settings.backends[backend].url)
            exchange.sent = True
            try:
                await self._relay_once(exchange, entry.backend)
            except EngineAwayError:
                exchange.sent = tried
                turns.engine_lost(entry)
            except EngineBusyError:
                exchange.sent = tried
                turns.engine_busy(entry)
            except UpstreamFailedError as failure:
                if tried or not failure.broke_off or not turns.several or not exchange.begin_anew():
                    raise
                tried = True
                entry.queue.give_up_turn(entry)
            else:
                return

    async def _wait_for_turn(self, exchange: Exchange, entry: QueueEntry) -> None:
        check = self._early_checks.start(exchange, exchange.active)
        exchange.body.waits(exchange.active.end)
        try:
            await self._turns.wait(entry, partial(self._on_wait, exchange, entry))
        finally:
            exchange.body.stays()
            if check is not None:
                check.cancel()

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
