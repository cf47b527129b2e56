"""Saved states of conversations that are not in the model's context just now.

The context holds one sequence of tokens. When the next prompt would overwrite much of it, its state is
saved first, and when a saved one shares more with the prompt than what is there, it is restored:
users who take turns do not make each other's prompts be evaluated anew.

Owns the saved states and their bound in bytes. The caller holds the model.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import llama_cpp
import numpy as np
from numpy.typing import NDArray

MIN_TOKENS = 64
"""Evaluating fewer than this anew is as cheap as saving and restoring them."""

MAX_STATES = 256
"""Each prompt is compared with all of them."""

_SEQUENCE = 0
Tokens = NDArray[np.intc]


@dataclass(frozen=True, eq=False)  # compared by identity: == on arrays is no truth value
class _Saved:
    tokens: Tokens
    buffer: NDArray[np.uint8]
    """Of which the state takes the first `n_state` bytes."""
    n_state: int

    @property
    def n_bytes(self) -> int:
        return self.buffer.nbytes + self.tokens.nbytes

    def is_superseded_by(self, tokens: Tokens) -> bool:
        """Whether those go on from here. An answer may come back in other tokens than it was given in,
        so the last ones need not agree."""
        return common_prefix(self.tokens, tokens) >= len(self.tokens) - MIN_TOKENS


class SavedPrefixes:
    """States of one context, least recently used first to go.

    Args:
        context: llama.cpp's pointer.
        capacity_bytes: of all states together; 0 saves none.
    """

    def __init__(self, context: object, *, capacity_bytes: int) -> None:
        self._context = context
        self._capacity = capacity_bytes
        self._saved: list[_Saved] = []

    @property
    def n_bytes(self) -> int:
        """What is held now, never more than the capacity."""
        return sum(saved.n_bytes for saved in self._saved)

    def exchange(self, live: Tokens, prompt: Sequence[int]) -> Tokens | None:
        """Save what the prompt would destroy, and restore what serves it better.

        Args:
            live: the tokens in the context.
            prompt: those about to be evaluated.

        Returns:
            The tokens that are in the context now, None if nothing was restored. The logits are
            not: one token at least must be evaluated before the next is sampled.
        """
        wanted = np.asarray(prompt, dtype=np.intc)
        kept = common_prefix(live, wanted)
        best = max(self._saved, key=lambda saved: common_prefix(saved.tokens, wanted), default=None)
        if best is not None and common_prefix(best.tokens, wanted) < kept + MIN_TOKENS:
            best = None
        if len(live) - kept >= MIN_TOKENS:
            self._save(live, keep=best)
        if best is None:
            return None
        self._touch(best)
        return best.tokens if self._restore(best) else np.empty(0, dtype=np.intc)

    def _save(self, tokens: Tokens, *, keep: _Saved | None) -> None:
        """Save the context's state if there is room, or can be made without the one to `keep`."""
        if any(common_prefix(saved.tokens, tokens) == len(tokens) for saved in self._saved):
            return
        n_state = int(llama_cpp.llama_state_seq_get_size(self._context, _SEQUENCE))
        dropped = [
            saved for saved in self._saved if saved is not keep and saved.is_superseded_by(tokens)
        ]
        held = [saved for saved in self._saved if saved not in dropped]
        while (buffer := self._room_for(n_state, tokens, held, dropped)) is None:
            oldest = next((at for at, saved in enumerate(held) if saved is not keep), None)
            if oldest is None:
                return
            dropped.append(held.pop(oldest))
        # Let go of before the copy is made: the bound holds meanwhile too.
        self._saved, dropped = held, []
        copied = llama_cpp.llama_state_seq_get_data(self._context, _pointer(buffer), n_state, _SEQUENCE)
        if copied == n_state:
            self._saved.append(_Saved(tokens.copy(), buffer, n_state))

    def _room_for(
        self, n_state: int, tokens: Tokens, held: list[_Saved], dropped: list[_Saved]
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

    def _restore(self, saved: _Saved) -> bool:
        """False leaves the context without tokens."""
        read = llama_cpp.llama_state_seq_set_data(
            self._context, _pointer(saved.buffer), saved.n_state, _SEQUENCE
        )
        return bool(read)

    def _touch(self, saved: _Saved) -> None:
        self._saved.remove(saved)
        self._saved.append(saved)


def common_prefix(a: Tokens, b: Tokens) -> int:
    """How many tokens two sequences share at their beginning."""
    length = min(len(a), len(b))
    different = np.flatnonzero(a[:length] != b[:length])
    return int(different[0]) if len(different) else length


def _pointer(array: NDArray[np.uint8]) -> object:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
