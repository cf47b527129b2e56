"""What is done to a token's logits before it is sampled: bias, minimum length, constraint.

One place for all three, since the stock server drops the first two when both are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from runtime.engine.grammar.constraint import Constraint

Logits = NDArray[np.single]


class LogitShaper:
    """A logits processor of llama_cpp for one answer.

    Args:
        n_prompt: tokens of the prompt.
        bias: added to the logits, by token.
        min_tokens: so many come before an end of the answer may, unless the constraint leaves no
            other choice.
        ends: the tokens that end an answer.
        constraint: what may follow, None for anything.
    """

    def __init__(
        self,
        *,
        n_prompt: int,
        bias: Mapping[int, float],
        min_tokens: int,
        ends: Sequence[int],
        constraint: Constraint | None,
    ) -> None:
        self._n_prompt = n_prompt
        self._biased = np.fromiter(bias.keys(), dtype=np.intp, count=len(bias))
        self._bias = np.fromiter(bias.values(), dtype=np.single, count=len(bias))
        self._min_tokens = min_tokens
        self._ends = np.asarray(ends, dtype=np.intp)
        self._constraint = constraint
        self._accepted = 0
        self.error: Exception | None = None
        """What went wrong. llama.cpp calls from C, where an exception would be lost."""

    @property
    def is_needed(self) -> bool:
        """False where it would do nothing; sampling is cheaper without it."""
        return bool(len(self._biased) or self._min_tokens or self._constraint)

    def as_list(self) -> llama_cpp.LogitsProcessorList | None:
        """As llama_cpp wants it."""
        return llama_cpp.LogitsProcessorList([self]) if self.is_needed else None

    def __call__(self, tokens: NDArray[np.intc], logits: Logits) -> Logits:
        """Shape the logits, of shape (vocabulary,), in place, after the prompt and `tokens` so far."""
        try:
            self._shape(tokens, logits)
        except Exception as error:
            self.error = error
        return logits

    def _shape(self, tokens: NDArray[np.intc], logits: Logits) -> None:
        n_generated = len(tokens) - self._n_prompt
        if len(self._biased):
            logits[self._biased] += self._bias
        forbidden = None
        if self._constraint is not None:
            for token in tokens[self._n_prompt + self._accepted :]:
                self._constraint.accept(int(token))
            self._accepted = n_generated
            forbidden = self._constraint.forbidden()
        if n_generated < self._min_tokens:
            forbidden = self._without_ends(forbidden, len(logits))
        if forbidden is not None:
            logits[forbidden] = -np.inf

    def _without_ends(self, forbidden: NDArray[np.bool_] | None, n_tokens: int) -> NDArray[np.bool_]:
        longer = np.zeros(n_tokens, dtype=np.bool_) if forbidden is None else forbidden.copy()
        longer[self._ends] = True
        # With nothing left to sample from, the sampler's arithmetic has no answer.
        return forbidden if forbidden is not None and longer.all() else longer
