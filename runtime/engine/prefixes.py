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


@dataclass(frozen=True)
class _Saved:
    tokens: Tokens
    state: NDArray[np.uint8]

    @property
    def n_bytes(self) -> int:
        return self.state.nbytes + self.tokens.nbytes


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
        room = self._capacity - n_state - tokens.nbytes
        # What this one goes on from is of no more use.
        held = [
            saved
            for saved in self._saved
            if saved is keep or common_prefix(saved.tokens, tokens) < len(saved.tokens)
        ]
        while held and (sum(saved.n_bytes for saved in held) > room or len(held) >= MAX_STATES):
            oldest = next((saved for saved in held if saved is not keep), None)
            if oldest is None:
                return
            held = [saved for saved in held if saved is not oldest]
        if room < 0:
            return
        # Dropped before the copy is made: the bound holds meanwhile too.
        self._saved = held
        state = np.empty(n_state, dtype=np.uint8)
        copied = llama_cpp.llama_state_seq_get_data(self._context, _pointer(state), n_state, _SEQUENCE)
        if copied == n_state:
            self._saved.append(_Saved(tokens.copy(), state))

    def _restore(self, saved: _Saved) -> bool:
        """False leaves the context without tokens."""
        read = llama_cpp.llama_state_seq_set_data(
            self._context, _pointer(saved.state), saved.state.nbytes, _SEQUENCE
        )
        return bool(read)

    def _touch(self, saved: _Saved) -> None:
        # By identity: == on arrays is no truth value.
        self._saved = [other for other in self._saved if other is not saved]
        self._saved.append(saved)


def common_prefix(a: Tokens, b: Tokens) -> int:
    """How many tokens two sequences share at their beginning."""
    length = min(len(a), len(b))
    different = np.flatnonzero(a[:length] != b[:length])
    return int(different[0]) if len(different) else length


def _pointer(array: NDArray[np.uint8]) -> object:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
