"""Which of several backends gets a request whose turn has come.

The turn is granted first (`fair_queue.py`), so that turns are fair between users whatever the number of
backends; then the backend is chosen among those with a free slot. A queue's limit is the sum of what its
backends offer, so that there is a free slot for each turn that is granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.scheduling.fair_queue import FairQueue, QueueEntry


class Slots:
    """What one backend offers to one queue."""

    __slots__ = ("_offers", "busy", "index", "limit", "lowered", "offered", "used_at")

    def __init__(self, offers: Offers, index: int) -> None:
        self._offers = offers
        self.index = index
        """The backend's index in `ProxySettings.all_backends`."""
        self.limit = 0
        """How many requests of this queue the backend may have at a time."""
        self.offered = 0
        """The same before it was lowered."""
        self.lowered: int | None = None
        """Set while the backend has said that it has no room for more than this."""
        self.busy = 0
        """How many requests it has."""
        self.used_at = 0
        """The number of the latest turn that it got."""

    def release(self) -> None:
        """The turn of one of its requests has ended. The queue calls it, and gives turns afterwards."""
        self._offers.release(self)


def choose(offers: Sequence[Slots], preferred: int | None) -> Slots | None:
    """The backend for the next request; None if none has a free slot.

    It is the preferred one (an index) if that has a free slot, else the one with most free slots, and
    among equals the one that has been unused for longest.
    """
    if preferred is not None and offers[preferred].busy < offers[preferred].limit:
        return offers[preferred]
    best, most = None, 0
    for slots in offers:
        free = slots.limit - slots.busy
        if free > most or (best is not None and free == most and slots.used_at < best.used_at):
            best, most = slots, free
    return best


class Offers:
    """What all backends offer to one queue."""

    def __init__(self, queue: FairQueue, backends: int) -> None:
        self.queue = queue
        self.slots = [Slots(self, index) for index in range(backends)]
        self._turns = 0

    def set_limits(self, limits: Sequence[int]) -> None:
        """Offer as many slots of each backend from now on. Turns that have begun continue."""
        for slots, limit in zip(self.slots, limits, strict=True):
            slots.offered = limit
        self._apply()

    def assign(self, entry: QueueEntry, preferred: int | None) -> int | None:
        """Choose the backend of a request that has got its turn; the queue releases it with the turn.

        Returns the backend's index; None if a backend has gone since the turn was granted.
        """
        slots = choose(self.slots, preferred)
        if slots is None:
            return None
        slots.busy += 1
        self._turns += 1
        slots.used_at = self._turns
        entry.slots, entry.backend = slots, slots.index
        return slots.index

    def release(self, slots: Slots) -> None:
        """As `Slots.release`."""
        slots.busy -= 1
        if slots.busy >= slots.limit and self.queue.limit > 1:
            self.queue.limit -= 1  # the backend had more than it may have: this slot is not free

    def lower(self, slots: Slots) -> None:
        """A backend has refused a request for want of room: it gets no more than it has, for a while."""
        slots.lowered = max(slots.busy - 1, 0)
        self._apply()

    def recover(self, index: int) -> None:
        """Try one more slot of a backend that was lowered."""
        slots = self.slots[index]
        if slots.lowered is not None:
            slots.lowered = slots.lowered + 1 if slots.lowered + 1 < slots.offered else None
            self._apply()

    def _apply(self) -> None:
        total = free = 0
        for slots in self.slots:
            lowered = slots.lowered
            slots.limit = slots.offered if lowered is None else min(slots.offered, lowered)
            free += slots.limit
            total += max(slots.limit, slots.busy)
        self.queue.limit = max(total, 1)
        if free:
            self.queue.resume()
        else:
            self.queue.pause()
