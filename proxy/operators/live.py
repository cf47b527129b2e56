"""What happens now: which requests run and how far they are, and which wait, in the order of turns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

from proxy.exchange import Exchange
from proxy.operators import errors
from proxy.records.request_ids import public_form
from proxy.scheduling.fair_queue import QueueEntry
from proxy.scheduling.turns import Turns


@dataclass(frozen=True, kw_only=True)
class Live:
    """Looks at requests under way. A user's requests can be had alone."""

    under_way: Mapping[str, Exchange]
    turns: Turns

    def state(self) -> dict[str, object]:
        """All requests under way, the oldest first, those that wait by their places; and the queues."""
        queues = self.turns.queues
        places: dict[QueueEntry | None, int] = {
            entry: place
            for queue in queues.values()
            for place, entry in enumerate(queue.order(), start=1)
        }
        described = [
            {
                **_described(exchange, places.get(exchange.queue_entry)),
                "backend": self._backend_of(exchange.queue_entry),
            }
            for exchange in self.under_way.values()
        ]
        waiting = [one for one in described if one["place"] is not None]
        return {
            "engine": {
                "available": self.turns.engine_available,
                "slots": self.turns.slots,
                "busy": self._busy(),
            },
            "queues": {
                work: {"waiting": queue.waiting, "running": queue.running, "slots": queue.limit}
                for work, queue in queues.items()
            },
            "backends": self.backends(),
            "running": [one for one in described if one["place"] is None],
            "waiting": sorted(waiting, key=itemgetter("place")),
        }

    def _busy(self) -> int:
        """How many slots are in use, by lines of batches too, which may be paused just now."""
        queues = self.turns.queues
        busy = queues["generate"].running
        for exchange in self.under_way.values():
            entry = exchange.queue_entry
            if entry is not None and entry.queue not in queues.values():  # lines have their own
                busy += self.turns.queue_of(exchange.route) is queues["generate"]
        return min(busy, self.turns.slots)

    def backends(self) -> list[dict[str, object]]:
        """The engines, in the order of the configuration."""
        return [
            {
                "url": backend.url,
                "state": backend.state,
                "problem": backend.problem,
                "drained": backend.drained,
                "model": backend.watch.model or backend.watch.status.model,
                "slots": backend.total_slots,
                "slots_here": backend.generating,
                "running": self.turns.busy(backend.index),
            }
            for backend in self.turns.backends
        ]

    def _backend_of(self, entry: QueueEntry | None) -> str | None:
        """The URL of the engine that a request has its turn at."""
        if entry is None or not entry.running or (self.turns.several and entry.slots is None):
            return None
        return self.turns.backends[entry.backend].url

    def end(self, request_id: str) -> str:
        """End a request, whose client gets an error that says so. Returns its user's name.

        Raises:
            ApiError: 404, it is not under way.
        """
        exchange = self.under_way.get(request_id.removeprefix("req_"))
        if exchange is None:
            raise errors.not_found(f"the request {request_id[:80]} is not under way")
        exchange.active.end(errors.ended_by_administrator())
        return exchange.principal.username


def _described(exchange: Exchange, place: int | None) -> dict[str, object]:
    """`place`: of a request that waits; the next one has the place 1."""
    entry, response, principal = exchange.queue_entry, exchange.response, exchange.principal
    state, wait_s = "receiving", None
    if entry is not None and place is not None:
        state, wait_s = "waiting", entry.queue.wait_s_at(place)
    elif entry is not None:
        state = "running" if entry.running else "sending"
    prompt_tokens, completion_tokens = response.scanner.usage()
    first_byte_at = response.first_byte_at
    return {
        "id": public_form(exchange.id),
        "user": principal.username,
        "key": principal.public_id,
        "group": None if principal.group is None else principal.group.name,
        "path": exchange.path[:256],
        "state": state,
        "since": datetime.fromtimestamp(exchange.arrived_at, UTC),
        "age_s": round(time.monotonic() - exchange.arrived, 3),
        "queue_s": None if entry is None else round(entry.waited_s, 3),
        "place": place,
        "estimated_wait_s": None if wait_s is None else round(wait_s, 1),
        "first_byte_s": None if first_byte_at is None else round(first_byte_at - exchange.arrived, 3),
        "batch": None if exchange.record is None else exchange.record.batch_id,
        "stream": response.stream,
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "response_bytes": response.response_bytes,
    }
