"""Has the engine check requests that must wait, so that a mistake in one is told before its turn comes.

A check takes a turn of the cheap queue, so that each user has a share of them, and runs behind the
engine's own work. A request that gets its turn at once is not checked: the engine refuses it by itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from proxy.errors import ApiError
from proxy.exchange import Exchange
from proxy.identity.active_requests import ActiveRequest
from proxy.scheduling.turns import Turns
from proxy.upstream.relay import Relay
from proxy.upstream.routes import CHECK

logger = logging.getLogger(__name__)

DELAY_S = 0.05
"""Whoever has waited for less is not checked: most turns come sooner."""


class EarlyCheck(Protocol):
    """A check under way."""

    def cancel(self) -> object:
        """End it; it has no further effect."""


class EarlyChecks:
    """Starts checks. An invalid request is ended with the engine's error."""

    def __init__(self, turns: Turns, relay: Relay) -> None:
        self._turns = turns
        self._relay = relay

    def start(self, exchange: Exchange, active: ActiveRequest) -> EarlyCheck | None:
        """Begin to check a request that waits. The caller must cancel it when the request's turn comes.

        Returns None where there is nothing to ask: an engine that is not ours, or work that is cheap.
        """
        if exchange.checked or not exchange.route.generates or not self._turns.engine_is_ours:
            return None
        return asyncio.create_task(self._run(exchange, active))

    async def _run(self, exchange: Exchange, active: ActiveRequest) -> None:
        await asyncio.sleep(DELAY_S)
        exchange.checked = True
        try:
            error = await self._ask(exchange)
        except ApiError as refusal:  # the cheap queue has no room: the request is checked in its turn
            logger.debug("a request that waits is not checked: %s", refusal.error)
            return
        if error is not None:
            exchange.found_invalid = True
            active.end(error)

    async def _ask(self, exchange: Exchange) -> ApiError | None:
        """The engine's error for the request; None if it has none, or does not say.

        Raises:
            ApiError: 503, too many requests wait for their check.
        """
        entry = self._turns.enter(CHECK, exchange.principal)
        try:
            await self._turns.wait(entry, _no_comment)
            backend = 0
            if self._turns.several:
                found = self._turns.assign(entry, exchange.principal.user_id)
                if found is None:
                    return None
                backend = found
            return await self._relay.error_of(exchange.path, exchange.body.content, backend)
        finally:
            entry.queue.leave(entry)


async def _no_comment(_: int) -> None:
    """The request itself sends comments while it waits."""
