"""Prompt lookup: guesses a response's next tokens from what has followed the same tokens before.

Where a response repeats its prompt, as in copying, correcting or summarising, one step then evaluates
several tokens. Each is still sampled from its own logits and a guess only counts where it agrees, so the
distribution is the same. Guesses cost about what prompt tokens do: it stops where they do not come true.
"""

from __future__ import annotations

import numpy as np

from runtime.engine.generation.context import Tokens

NGRAM = 3
"""The length of the last tokens that must have occurred before."""
MAX_DRAFT = 12
"""Tokens guessed at a time."""
_FIRST_DRAFT = 4
_ENOUGH = 0.5
"""Guessing pauses if a smaller share of the guesses is right."""
_PAUSE_TOKENS = 32
_SMOOTHING = 0.3


class Lookup:
    """Guesses for one response."""

    def __init__(self) -> None:
        self._share = 1.0
        """Moving average of the share of right guesses."""
        self._length = _FIRST_DRAFT
        self._resumes_at = 0

    def draft(self, known: Tokens, at_most: int) -> Tokens:
        """Tokens that may come next, often none.

        Args:
            known: the prompt and the response so far.
            at_most: how many are wanted.
        """
        length = min(self._length, at_most)
        if length <= 0 or len(known) <= NGRAM or len(known) < self._resumes_at:
            return known[:0]
        start = _last_occurrence(known)
        return known[:0] if start is None else known[start : start + length].copy()

    def observe(self, n_known: int, *, proposed: int, accepted: int) -> None:
        """Learn from guesses: so many of `proposed` were right, with `n_known` tokens known now."""
        self._share += _SMOOTHING * (accepted / proposed - self._share)
        self._length = min(2 * self._length, MAX_DRAFT) if accepted == proposed else _FIRST_DRAFT
        if self._share < _ENOUGH:
            self._share, self._resumes_at = 1.0, n_known + _PAUSE_TOKENS


def _last_occurrence(known: Tokens) -> int | None:
    """The position after the latest earlier occurrence of the last `NGRAM` tokens; None if none."""
    n_starts = len(known) - NGRAM
    found = known[:n_starts] == known[-NGRAM]
    for offset in range(1, NGRAM):
        found &= known[offset : n_starts + offset] == known[-NGRAM + offset]
    starts = np.flatnonzero(found)
    return int(starts[-1]) + NGRAM if len(starts) else None
