"""Saves the states of conversations that are in no slot at the moment.

Before a new prompt overwrites a slot, the slot's state is saved. If a saved state contains a longer
prefix of a prompt than any slot does, it is restored. So users who alternate do not cause each other's
prompts to be evaluated again.

Owns the saved states and their limit in bytes. Only the scheduler's thread may use this module.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """The state is in its first `n_state` bytes."""
    n_state: int

    @property
    def n_bytes(self) -> int:
        return self.buffer.nbytes + self.tokens.nbytes

    def is_superseded_by(self, slot: Slot) -> bool:
        """Whether a slot continues this conversation. The last tokens need not agree: when a client
        sends a response back, its text may be split into other tokens."""
        if self.tag != slot.tag:
            return False
        return common_prefix(self.tokens, slot.held) >= len(self.tokens) - MIN_REUSE


def first_to_drop(
    states: Sequence[Saved], tag: str, n_new_bytes: int, capacity_bytes: int
) -> Saved | None:
    """The state that makes room for a new one: the least recently used of all, or of the same user.

    The user's own goes where the user would otherwise hold more than an equal share of the capacity, so
    that nobody can have the states of others dropped with many prompts.

    Args:
        states: those that may be dropped, the least recently used first.
        tag: the new state's user.
        n_new_bytes: the new state's size.
        capacity_bytes: the limit of all.
    """
    own = [saved for saved in states if saved.tag == tag]
    n_users = len({saved.tag for saved in states} | {tag})
    n_own_bytes = sum(saved.n_bytes for saved in own) + n_new_bytes
    is_above_share = n_own_bytes * n_users > capacity_bytes
    return next(iter(own if own and is_above_share else states), None)


class SavedPrefixes:
    """The saved states of one context; `first_to_drop` says which make room for others.

    Args:
        context: the context whose sequences are saved and restored.
        capacity_bytes: the limit for all states together; 0 saves none.
    """

    def __init__(self, context: Context, *, capacity_bytes: int) -> None:
        self._context = context
        self._capacity = capacity_bytes
        self._saved: list[Saved] = []

    @property
    def n_bytes(self) -> int:
        """The memory in use, never more than the capacity."""
        return sum(saved.n_bytes for saved in self._saved)

    def best(self, prompt: Tokens, tag: str, n_shared: int) -> tuple[Saved | None, int]:
        """The state with the longest reusable prefix of a prompt, and the prefix's length."""
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
        """Restore a state into a slot's sequence. On False the sequence is empty."""
        self._saved.remove(saved)
        self._saved.append(saved)
        return self._context.restore(slot.key, saved.buffer, saved.n_state)

    def save(self, slot: Slot, *, keep: Saved | None = None) -> None:
        """Save a slot's state. Drops older states to make room, but never `keep`."""
        if len(slot.held) < MIN_REUSE or self._has(slot):
            return
        n_state = self._context.state_size(slot.key)
        dropped = [s for s in self._saved if s is not keep and s.is_superseded_by(slot)]
        held = [saved for saved in self._saved if saved not in dropped]
        while (buffer := self._room_for(n_state, slot.held, held, dropped)) is None:
            candidates = [saved for saved in held if saved is not keep]
            first = first_to_drop(candidates, slot.tag, n_state, self._capacity)
            if first is None:
                return
            held.remove(first)
            dropped.append(first)
        # Release the dropped states before the copy, so that the limit is never exceeded.
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

        A dropped state's buffer is used if it is large enough: getting fresh memory from the kernel
        takes twenty times as long as copying a state.
        """
        room = self._capacity - tokens.nbytes - sum(saved.n_bytes for saved in held)
        if len(held) >= MAX_STATES or n_state > room:
            return None
        fitting = [saved.buffer for saved in dropped if n_state <= saved.buffer.nbytes <= room]
        if fitting:
            return min(fitting, key=len)
        # Larger than needed, so that the buffer can be reused as the conversation grows.
        return np.empty(min(n_state + n_state // 4, room), dtype=np.uint8)
