"""Lines of batches give up their slots when users' requests wait for one, and go on later.

What is in the slot stays there until it is needed, and is then saved like any conversation
(`prefix_cache.py`). If it is dropped in the meantime, the tokens are evaluated again. Only the
scheduler's thread may use this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runtime.engine.generation.admission import SlotTable
from runtime.engine.generation.context import Tokens
from runtime.engine.generation.generation import Generation
from runtime.engine.generation.slots import Sequence


def to_pause(running: Iterable[Sequence], n_wanted: int) -> list[Sequence]:
    """Choose up to `n_wanted` sequences to pause: lines of batches, the latest first.

    One whose prompt is being scored goes on until that is done: what has been scored is not kept.
    """
    candidates = [
        sequence
        for sequence in running
        if sequence.generation.user.is_batch
        and not (sequence.generation.prompt.is_scored and sequence.first_token_at is None)
    ]
    candidates.sort(key=lambda sequence: sequence.admitted_at, reverse=True)
    return candidates[: max(0, n_wanted)]


@dataclass(frozen=True, eq=False)
class _Kept:
    sequence: Sequence
    tokens: Tokens
    left_s: float
    """What is left of its time."""


class Paused:
    """The sequences that are paused, in the order in which they were."""

    def __init__(self, table: SlotTable) -> None:
        self._table = table
        self._kept: list[_Kept] = []

    def __len__(self) -> int:
        return len(self._kept)

    def pause(self, sequence: Sequence) -> None:
        """Free a sequence's slot."""
        slot, generation = sequence.slot, sequence.generation
        assert generation.deadline is not None
        left_s = generation.deadline - time.monotonic()
        self._kept.append(_Kept(sequence, slot.known.copy(), left_s))
        generation.deadline = None
        sequence.leader = None
        slot.release()

    def resume(self) -> Sequence:
        """Put the sequence that has been paused for longest into a slot. One must be free."""
        kept = self._kept.pop(0)
        sequence, generation = kept.sequence, kept.sequence.generation
        slot = self._table.place(generation, kept.tokens)
        slot.sequence, sequence.slot = sequence, slot
        generation.deadline = time.monotonic() + kept.left_s
        return sequence

    def take_ended(self, is_over: Callable[[Generation], bool]) -> list[Sequence]:
        """Remove and return those that are to end."""
        ended = [kept for kept in self._kept if is_over(kept.sequence.generation)]
        self._kept = [kept for kept in self._kept if kept not in ended]
        return [kept.sequence for kept in ended]
