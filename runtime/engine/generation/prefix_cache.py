"""Saved states of conversations that are in no slot just now.

When a new prompt would overwrite what is in a slot, its state is saved first, and when a saved one has
more of a prompt's beginning than any slot, it is restored: users who take turns do not make each
other's prompts be evaluated anew.

Owns the saved states and their bound in bytes. For the scheduler's thread only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.engine.generation.context import Context, Tokens
from runtime.engine.generation.decisions import MIN_REUSE
from runtime.engine.generation.slots import Slot, common_prefix, lendable

MAX_STATES = 256
"""Each prompt is compared with all of them."""


@dataclass(frozen=True, eq=False)  # compared by identity: == on arrays is no truth value
class Saved:
    """The state of a sequence."""

    tokens: Tokens
    tag: str
    n_shared: int
    buffer: NDArray[np.uint8]
    """Of which the state takes the first `n_state` bytes."""
    n_state: int

    @property
    def n_bytes(self) -> int:
        return self.buffer.nbytes + self.tokens.nbytes

    def is_superseded_by(self, slot: Slot) -> bool:
        """Whether a slot goes on from here. A response may come back in other tokens than it was given
        in, so the last ones need not agree."""
        if self.tag != slot.tag:
            return False
        return common_prefix(self.tokens, slot.held) >= len(self.tokens) - MIN_REUSE


class SavedPrefixes:
    """States of one context's sequences, least recently used first to go.

    Args:
        context: where they come from and go to.
        capacity_bytes: of all states together; 0 saves none.
    """

    def __init__(self, context: Context, *, capacity_bytes: int) -> None:
        self._context = context
        self._capacity = capacity_bytes
        self._saved: list[Saved] = []

    @property
    def n_bytes(self) -> int:
        """What is held now, never more than the capacity."""
        return sum(saved.n_bytes for saved in self._saved)

    def best(self, prompt: Tokens, tag: str, n_shared: int) -> tuple[Saved | None, int]:
        """The state with the most of a prompt's beginning, and how many of its tokens it gives."""
        best, best_length = None, 0
        for saved in self._saved:
            length = lendable(
                saved.tokens, prompt, same=saved.tag == tag, n_shared=min(n_shared, saved.n_shared)
            )
            if not self._context.can_trim and length < len(saved.tokens):
                length = 0
            if length > best_length:
                best, best_length = saved, length
        return best, best_length

    def restore(self, saved: Saved, slot: Slot) -> bool:
        """Bring a state back into a slot's sequence; on False that is empty."""
        self._saved.remove(saved)
        self._saved.append(saved)
        return self._context.restore(slot.key, saved.buffer, saved.n_state)

    def save(self, slot: Slot, *, keep: Saved | None = None) -> None:
        """Save a slot's state if there is room, or can be made without the one to `keep`."""
        if len(slot.held) < MIN_REUSE or self._has(slot):
            return
        n_state = self._context.state_size(slot.key)
        dropped = [s for s in self._saved if s is not keep and s.is_superseded_by(slot)]
        held = [saved for saved in self._saved if saved not in dropped]
        while (buffer := self._room_for(n_state, slot.held, held, dropped)) is None:
            oldest = next((at for at, saved in enumerate(held) if saved is not keep), None)
            if oldest is None:
                return
            dropped.append(held.pop(oldest))
        # Let go of before the copy is made: the bound holds meanwhile too.
        self._saved, dropped = held, []
        if self._context.save(slot.key, buffer, n_state):
            self._saved.append(Saved(slot.held.copy(), slot.tag, slot.n_shared, buffer, n_state))

    def _has(self, slot: Slot) -> bool:
        return any(
            saved.tag == slot.tag and common_prefix(saved.tokens, slot.held) == len(slot.held)
            for saved in self._saved
        )

    def _room_for(
        self, n_state: int, tokens: Tokens, held: list[Saved], dropped: list[Saved]
    ) -> NDArray[np.uint8] | None:
        """A buffer for a state beside those held; None if there is no room.

        One of a dropped state where it is large enough: the kernel takes twenty times as long to give
        fresh memory as a state takes to be copied.
        """
        room = self._capacity - tokens.nbytes - sum(saved.n_bytes for saved in held)
        if len(held) >= MAX_STATES or n_state > room:
            return None
        fitting = [saved.buffer for saved in dropped if n_state <= saved.buffer.nbytes <= room]
        if fitting:
            return min(fitting, key=len)
        # With some to spare, for the conversation as it goes on.
        return np.empty(min(n_state + n_state // 4, room), dtype=np.uint8)
