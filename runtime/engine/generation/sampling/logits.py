"""Changes logits before sampling (bias, minimum length, constraint), and computes probabilities.

One class applies all three, since the stock server drops the first two if both are requested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.engine.generation.channel import TokenLogprob
from runtime.engine.grammar.constraint import Constraint

Logits = NDArray[np.single]


class LogitShaper:
    """Shapes the logits of one response.

    Args:
        bias: added to the logits, by token.
        min_tokens: the response may not end before it has this many tokens, unless the constraint
            allows nothing else.
        ends: the tokens that end a response.
        constraint: determines which tokens may follow; None allows all.
    """

    def __init__(
        self,
        *,
        bias: Mapping[int, float],
        min_tokens: int,
        ends: Sequence[int],
        constraint: Constraint | None,
    ) -> None:
        self._biased = np.fromiter(bias.keys(), dtype=np.intp, count=len(bias))
        self._bias = np.fromiter(bias.values(), dtype=np.single, count=len(bias))
        self._min_tokens = min_tokens
        self._ends = np.asarray(ends, dtype=np.intp)
        self._constraint = constraint
        self._n_accepted = 0
        self._not_consumed: list[int] = []
        self._n_skipped = 0
        self._also: int | None = None
        self._took_exception = False

    def constrain(self, constraint: Constraint, *, skip: int = 0, also: int | None = None) -> None:
        """Hold the response to a constraint from now on.

        Args:
            constraint: has consumed nothing yet.
            skip: the next tokens, as many as this, are not for the constraint.
            also: a token that is allowed as the next one even if the constraint forbids it, where it is
                the likeliest of all. If it is taken, the constraint holds no longer.
        """
        self._constraint, self._n_skipped, self._also = constraint, skip, also

    def advance(self, token: int) -> None:
        """Advance the constraint by a token that has been accepted before it held."""
        self._not_consumed.append(token)

    def took_exception(self) -> bool:
        """Whether the exception that `also` made has been taken. True once."""
        taken, self._took_exception = self._took_exception, False
        return taken

    def shape(self, logits: Logits) -> None:
        """Change logits of shape (vocabulary,) in place.

        Raises:
            Refusal: the grammar turned out too complex.
        """
        if len(self._biased):
            logits[self._biased] += self._bias
        is_too_short = self._n_accepted < self._min_tokens
        if self._constraint is not None:
            forbidden = self._forbidden(self._constraint)
            if self._also is not None and logits.argmax() == self._also:
                forbidden[self._also] = False
            logits[self._without_ends(forbidden) if is_too_short else forbidden] = -np.inf
        elif is_too_short:
            logits[self._ends] = -np.inf

    def _forbidden(self, constraint: Constraint) -> NDArray[np.bool_]:
        for token in self._not_consumed:
            constraint.accept(token)
        self._not_consumed.clear()
        return constraint.forbidden()

    def accept(self, token: int) -> None:
        """Advance by a sampled token, which must not be one of `ends`.

        The constraint is advanced with the next logits: the text so far stands even if that fails.
        """
        self._n_accepted += 1
        if self._constraint is None:
            return
        also, self._also = self._also, None
        if self._n_skipped:
            self._n_skipped -= 1
        elif token == also and not self._constraint.allows([token]):
            self._constraint, self._took_exception = None, True
        else:
            self._not_consumed.append(token)

    def _without_ends(self, forbidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
        longer = forbidden.copy()
        longer[self._ends] = True
        # With nothing left to sample from, the sampler's arithmetic has no answer.
        return forbidden if longer.all() else longer


def logprob(logits: Logits, token: int, top: int, pieces: Sequence[bytes]) -> TokenLogprob:
    """A token's probability by logits of shape (vocabulary,), and those of the `top` likeliest."""
    logprobs = logits - logits.max()
    logprobs -= np.log(np.exp(logprobs).sum(dtype=np.float64)).astype(np.single)
    best = np.argpartition(-logprobs, min(top, len(logprobs) - 1))[:top]
    best = best[np.argsort(-logprobs[best], kind="stable")]
    return TokenLogprob(
        piece=pieces[token],
        logprob=float(logprobs[token]),
        top=[(pieces[int(other)], float(logprobs[other])) for other in best],
    )
