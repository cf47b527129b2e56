"""Settles requests that have ended: each gets one row in the database, one charge, one line in the log.

The usage of a request that ended early is asked of the engine, so that its user is charged exactly that.
If the client leaves or the request is cut off, the engine has worked for it, but its response does not
say how much. Only our own engine can be asked. The request keeps its turn until the engine has replied,
for a few seconds at most, since the engine works on the request until then.

Leaves to the handler when a request has ended, and to `ratelimit` and `records` what it means to charge
and to record it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from proxy.exchange import Exchange
from proxy.ratelimit.admission import Admitter
from proxy.records.access_log import AccessLog
from proxy.records.record import RequestRecord
from proxy.records.request_log import RequestLog
from proxy.scheduling.turns import Turns
from proxy.upstream.relay import Relay


class Settlements:
    """Asks the engine for the usage of requests that ended early, each in a background task."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, exchange: Exchange, then: Callable[[], None]) -> None:
        """Ask for a request's usage, then call `then`, also if the usage could not be obtained.

        The caller must have closed the request's connection to the engine, or be about to close it.
        """
        task = asyncio.create_task(self._settle(exchange, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, exchange: Exchange, then: Callable[[], None]) -> None:
        try:
            backend = 0 if exchange.queue_entry is None else exchange.queue_entry.backend
            exchange.response.scanner.settled = await self._relay.usage_of(exchange.id, backend)
        finally:
            then()

    async def close(self) -> None:
        """Wait for the replies that are still open; each has a time limit."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Accounts:
    """Records and charges requests."""

    def __init__(
        self,
        *,
        admitter: Admitter,
        turns: Turns,
        settlements: Settlements,
        request_log: RequestLog,
        access_log: AccessLog,
    ) -> None:
        self._admitter = admitter
        self._turns = turns
        self._settlements = settlements
        self._log = request_log
        self._access_log = access_log
        self.admitted: Callable[[RequestRecord], None] = request_log.admitted
        """Note that a request has been admitted: it gets a row of its own, whatever becomes of it."""

    def give_back(self, exchange: Exchange) -> None:
        """Undo the admission of a request that is refused before the engine has received it."""
        record, admission = exchange.record, exchange.admission
        if record is None or admission is None or admission.entry is None:
            return
        self._admitter.give_back(exchange.principal, admission)
        admission.entry = None
        admission.requests.remaining += 1
        record.admitted = False
        record.admitted_at = None

    def end(self, exchange: Exchange, status: int | None = None, error: str | None = None) -> None:
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
            and exchange.queue_entry is not None
            and self._turns.is_ours(exchange.queue_entry.backend)
            and exchange.response.scanner.final_usage() is None
        )

    def _settled(self, exchange: Exchange, record: RequestRecord) -> None:
        """Finish the work of `end` after the engine has been asked for the usage."""
        try:
            self._record(exchange, record)
        finally:
            if exchange.queue_entry is not None:
                exchange.queue_entry.queue.leave(exchange.queue_entry)

    def _record(self, exchange: Exchange, record: RequestRecord) -> None:
        if record.admitted and not exchange.admission_noted:
            self.admitted(record)  # it counts against the limit: it needs a row of its own
        self._log.ended(record)
        self.charge(exchange, record)
        self.note(exchange, record)

    def charge(self, exchange: Exchange, record: RequestRecord) -> None:
        """Charge the tokens that a request used. Only the first call that charges has an effect."""
        if exchange.charged or not record.admitted:
            return
        if not exchange.settling and exchange.record is record:  # the record is still open
            exchange.complete(record, exchange.response.status_code, None)
        again = exchange.charged is not None
        exchange.charged = self._admitter.charge(exchange.principal, record, again=again)

    def note(self, exchange: Exchange, record: RequestRecord) -> None:
        """Write a line to the access log."""
        self._access_log.note(record, exchange.client, exchange.request.headers.get("X-Request-ID"))
