"""The generations that wait for a slot, in order of arrival.

`decisions.admit` chooses who is next. Only the scheduler's thread may use this module, but for `len`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.engine.generation import slots
from runtime.engine.generation.decisions import Waiting, admit
from runtime.engine.generation.generation import Generation


@dataclass(eq=False)
class _Queued:
    """A generation that waits for a slot."""

    generation: Generation
    passed_over: int = 0
    """Number of generations that were admitted while this one waited."""


class WaitingList:
    """All generations that wait for a slot."""

    def __init__(self) -> None:
        self._queued: list[_Queued] = []

    def __len__(self) -> int:
        return len(self._queued)

    def add(self, generation: Generation) -> None:
        """Add a generation at the end."""
        self._queued.append(_Queued(generation))

    def take_ended(self, is_over: Callable[[Generation], bool]) -> list[Generation]:
        """Remove and return those that are to end."""
        ended = [queued for queued in self._queued if is_over(queued.generation)]
        self._remove(ended)
        return [queued.generation for queued in ended]

    def views(self, running: Sequence[slots.Sequence]) -> list[Waiting]:
        """Those who wait, as `admit` has to know them. Responses to one request share a channel."""
        known = {sequence.generation.channel for sequence in running}
        views = []
        for key, queued in enumerate(self._queued):
            user, channel = queued.generation.user, queued.generation.channel
            views.append(
                Waiting(
                    key=key,
                    tag=user.tag,
                    weight=user.weight,
                    passed_over=queued.passed_over,
                    is_further=channel in known,
                    is_batch=user.is_batch,
                )
            )
            known.add(channel)
        return views

    def take(
        self, views: Sequence[Waiting], running: Sequence[slots.Sequence], n_free: int
    ) -> list[Generation]:
        """Remove and return those who get the free slots.

        Args:
            views: who may get one; the list has not changed since `views` returned them.
            running: the sequences that have a slot.
            n_free: number of free slots.
        """
        counts = Counter(sequence.generation.user.tag for sequence in running)
        admitted = [self._queued[key] for key in admit(views, counts, n_free)]
        self._remove(admitted)
        tags = Counter(queued.generation.user.tag for queued in admitted)
        for queued in self._queued:
            queued.passed_over += len(admitted) - tags[queued.generation.user.tag]
        return [queued.generation for queued in admitted]

    def _remove(self, gone: list[_Queued]) -> None:
        if gone:
            self._queued = [queued for queued in self._queued if queued not in gone]
