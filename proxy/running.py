"""The requests under way, so that those of a user who lost access can be ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from proxy.errors import ApiError
from proxy.keys import PREFIX
from proxy.principal import Principal, refusal


@dataclass(kw_only=True, slots=True, eq=False)
class Ticket:
    """One request under way. `error` is set before its task is cancelled for the user's sake."""

    task: asyncio.Task[object]
    public_id: str
    error: ApiError | None = None

    def end(self, error: ApiError) -> None:
        """Cancel the request; its handler answers with `error`."""
        if self.error is None:
            self.error = error
            self.task.cancel()


class Running:
    """All requests under way in this process, by key."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tickets: dict[str, set[Ticket]] = {}

    def __len__(self) -> int:
        return sum(len(tickets) for tickets in self._tickets.values())

    @contextmanager
    def entered(self, principal: Principal) -> Iterator[Ticket]:
        """Count the current task in, for as long as the context lasts."""
        task = asyncio.current_task()
        assert task is not None
        ticket = Ticket(task=task, public_id=principal.public_id)
        tickets = self._tickets.setdefault(principal.public_id, set())
        tickets.add(ticket)
        timer = self._expiry_timer(ticket, principal)
        try:
            yield ticket
        finally:
            if timer is not None:
                timer.cancel()
            tickets.discard(ticket)
            if not tickets and self._tickets.get(principal.public_id) is tickets:
                del self._tickets[principal.public_id]

    def end_refused(self, principals: Iterable[Principal]) -> None:
        """End what runs with keys that may no longer be used; watch those that got an expiry."""
        for principal in principals:
            for ticket in list(self._tickets.get(principal.public_id, ())):
                self._end_if_refused(ticket, principal)
                if ticket.error is None:
                    self._expiry_timer(ticket, principal)

    def _end_if_refused(self, ticket: Ticket, principal: Principal) -> None:
        masked = f"{PREFIX}{principal.public_id[:4]}…"
        error = refusal(principal, now=self._clock(), masked=masked)
        if error is not None and not ticket.task.done():
            ticket.end(error)

    def _expiry_timer(self, ticket: Ticket, principal: Principal) -> asyncio.TimerHandle | None:
        if principal.expires_at is None:
            return None
        delay = max(0.0, principal.expires_at - self._clock())
        # A timer of more than a day is left to the next request's: uvloop's timers have a limit.
        if delay > 86_400:
            return None
        return asyncio.get_running_loop().call_later(delay, self._end_if_refused, ticket, principal)
