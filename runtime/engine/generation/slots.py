"""Slots, and the sequences that grow in them.

A slot is a sequence of tokens in the context: those of the response under way, or of the last one, kept
for whoever goes on from them. The scheduler's thread alone touches them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as Ids
from dataclasses import dataclass, field

import numpy as np

from runtime.engine.generation.channel import TokenLogprob
from runtime.engine.generation.context import Tokens
from runtime.engine.generation.generation import Generation
from runtime.engine.generation.logits import LogitShaper
from runtime.engine.generation.lookup import Lookup
from runtime.engine.generation.sampling import Sampler
from runtime.engine.text import TextAssembler


class Slot:
    """One sequence of the context. `key` is llama.cpp's id for it, `capacity` its context in tokens."""

    def __init__(self, key: int, capacity: int) -> None:
        self.key = key
        self._tokens = np.zeros(capacity + 1, dtype=np.int32)
        self.n_tokens = 0
        """Known ones: the prompt and what has been generated."""
        self.n_past = 0
        """Those of them that are in the context."""
        self.tag = ""
        """Whose they are."""
        self.n_shared = 0
        """So many at the beginning may be used by others."""
        self.used_at = 0.0
        self.sequence: Sequence | None = None
        """What grows in it now."""

    @property
    def is_free(self) -> bool:
        return self.sequence is None

    @property
    def held(self) -> Tokens:
        """The tokens that are in the context."""
        return self._tokens[: self.n_past]

    @property
    def pending(self) -> Tokens:
        """The known ones that are not."""
        return self._tokens[self.n_past : self.n_tokens]

    @property
    def known(self) -> Tokens:
        """All known ones."""
        return self._tokens[: self.n_tokens]

    def set_tokens(self, tokens: Tokens | Ids[int], *, n_past: int) -> None:
        """Have it hold the first `n_past` of these tokens, and know all of them."""
        self.n_tokens, self.n_past = len(tokens), n_past
        self._tokens[: self.n_tokens] = tokens

    def append(self, token: int) -> None:
        """One more known token."""
        self._tokens[self.n_tokens] = token
        self.n_tokens += 1

    def release(self) -> None:
        """What grew in it has ended; what is in the context stays."""
        self.sequence = None
        self.n_tokens = self.n_past
        self.used_at = time.monotonic()

    def lend(self, prompt: Tokens, tag: str, n_shared: int) -> int:
        """How many of its tokens a prompt begins with, and may use.

        Args:
            prompt: the tokens.
            tag: whose prompt it is.
            n_shared: so many of the prompt's tokens are declared shared.
        """
        return lendable(self.held, prompt, same=tag == self.tag, n_shared=min(n_shared, self.n_shared))


def lendable(held: Tokens, prompt: Tokens, *, same: bool, n_shared: int) -> int:
    """How many tokens of a prompt another sequence has and may give.

    Args:
        held: the other's tokens.
        prompt: the prompt's. Its last token is always evaluated: the logits come from that.
        same: whether both are the same user's.
        n_shared: how many may be given to others.
    """
    length = min(common_prefix(held, prompt), len(prompt) - 1)
    return length if same else min(length, n_shared)


def common_prefix(a: Tokens, b: Tokens) -> int:
    """How many tokens two sequences share at their beginning."""
    length = min(len(a), len(b))
    different = np.flatnonzero(a[:length] != b[:length])
    return int(different[0]) if len(different) else length


@dataclass(kw_only=True, eq=False)
class Sequence:
    """A response that grows in a slot."""

    generation: Generation
    slot: Slot
    sampler: Sampler
    shaper: LogitShaper
    assembler: TextAssembler
    admitted_at: float = field(default_factory=time.perf_counter)
    first_token_at: float | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    """Of tokens whose text has not been given out yet."""
    lookup: Lookup = field(default_factory=Lookup)
    waited: int = 0
    """Steps without prompt tokens while it reads."""
    leader: Sequence | None = None
    """The one that reads the same beginning just now; this one waits to copy it."""
    n_led: int = 0
    """So many tokens of it."""

    @property
    def has_ended(self) -> bool:
        return self.slot.sequence is not self

    @property
    def is_decoding(self) -> bool:
        """Whether one token is all that is left to evaluate, and it is not the prompt's."""
        return self.first_token_at is not None and self.slot.n_tokens == self.slot.n_past + 1
