"""The requests under way, so that those of a user who lost access, or all of them, can be ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from proxy.errors import ApiError
from proxy.identity.keys import PREFIX
from proxy.identity.principal import Principal, access_error

WATCH_AGAIN_S = 60.0
"""The longest a timer runs: steps of the wall clock are noticed by then."""


class Ticket:
    """One request under way. `error` is set before its task is cancelled for the user's sake."""

    __slots__ = ("error", "public_id", "task", "timer")

    def __init__(self, task: asyncio.Task[object], public_id: str) -> None:
        self.task = task
        self.public_id = public_id
        self.error: ApiError | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Looks again when the key expires."""

    def end(self, error: ApiError) -> None:
        """Cancel the request; its handler answers with `error`."""
        if self.error is None:
            self.error = error
            self.task.cancel()


class ActiveRequests:
    """All requests under way in this process, by key."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tickets: dict[str, set[Ticket]] = {}

    def __len__(self) -> int:
        return sum(len(tickets) for tickets in self._tickets.values())

    def uses(self, public_id: str) -> bool:
        """Whether requests with this key are under way."""
        return public_id in self._tickets

    def enter(self, task: asyncio.Task[object], principal: Principal) -> Ticket:
        """Count a request in that a task serves. The ticket has to be given to `leave`."""
        public_id = principal.public_id
        ticket = Ticket(task, public_id)
        tickets = self._tickets.get(public_id)
        if tickets is None:
            self._tickets[public_id] = {ticket}
        else:
            tickets.add(ticket)
        if principal.expires_at is not None:
            self._watch(ticket, principal)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Count it out."""
        if ticket.timer is not None:
            ticket.timer.cancel()
        tickets = self._tickets[ticket.public_id]
        tickets.discard(ticket)
        if not tickets:
            del self._tickets[ticket.public_id]

    def end_refused(self, principals: Iterable[Principal]) -> None:
        """End what runs with keys that may no longer be used; watch those that got an expiry."""
        for principal in principals:
            for ticket in list(self._tickets.get(principal.public_id, ())):
                self._watch(ticket, principal)

    def end_all(self, error: ApiError) -> None:
        """End everything that runs or waits."""
        for tickets in list(self._tickets.values()):
            for ticket in tickets:
                ticket.end(error)

    def _watch(self, ticket: Ticket, principal: Principal) -> None:
        """End a request whose key may no longer be used, or look again when the key expires."""
        if ticket.timer is not None:
            ticket.timer.cancel()
            ticket.timer = None
        masked = f"{PREFIX}{principal.public_id[:4]}…"
        now = self._clock()
        error = access_error(principal, now=now, masked=masked)
        if error is not None:
            ticket.end(error)
        elif principal.expires_at is not None:
            # uvloop's timers go off up to a millisecond early: hence a second look, not an end.
            delay = min(max(0.001, principal.expires_at - now), WATCH_AGAIN_S)
            loop = asyncio.get_running_loop()
            ticket.timer = loop.call_later(delay, self._watch, ticket, principal)
