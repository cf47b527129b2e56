"""Slots, and the sequences that run in them.

A slot is one sequence of tokens in the context: those of the running response, or of the last one, kept
for a prompt that continues it. Only the scheduler's thread may use them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as Ids
from dataclasses import dataclass, field

import numpy as np

from runtime.engine.generation.channel import TokenLogprob
from runtime.engine.generation.context import Tokens
from runtime.engine.generation.generation import Generation
from runtime.engine.generation.marks.guide import Guide
from runtime.engine.generation.sampling.logits import LogitShaper
from runtime.engine.generation.sampling.lookup import Lookup
from runtime.engine.generation.sampling.sampler import Sampler
from runtime.engine.text import TextAssembler


class Slot:
    """One sequence of the context. `key` is llama.cpp's id for it, `capacity` its context in tokens."""

    def __init__(self, key: int, capacity: int) -> None:
        self.key = key
        self._tokens = np.zeros(capacity + 1, dtype=np.int32)
        self.n_tokens = 0
        """Number of known tokens: the prompt and what has been generated."""
        self.n_past = 0
        """How many of them are evaluated, and so in the context."""
        self.tag = ""
        """The tag of the user whose tokens they are."""
        self.n_shared = 0
        """Length of the prefix that other users may reuse."""
        self.used_at = 0.0
        self.sequence: Sequence | None = None
        """The running sequence; None if the slot is free."""

    @property
    def is_free(self) -> bool:
        return self.sequence is None

    @property
    def held(self) -> Tokens:
        """The tokens that are in the context."""
        return self._tokens[: self.n_past]

    @property
    def pending(self) -> Tokens:
        """The known tokens that are not evaluated yet."""
        return self._tokens[self.n_past : self.n_tokens]

    @property
    def known(self) -> Tokens:
        """All known tokens."""
        return self._tokens[: self.n_tokens]

    def set_tokens(self, tokens: Tokens | Ids[int], *, n_past: int) -> None:
        """Set the known tokens, of which the first `n_past` are in the context."""
        self.n_tokens, self.n_past = len(tokens), n_past
        self._tokens[: self.n_tokens] = tokens

    def append(self, token: int) -> None:
        """Add a known token."""
        self._tokens[self.n_tokens] = token
        self.n_tokens += 1

    def release(self) -> None:
        """Free the slot. Its tokens stay in the context."""
        self.sequence = None
        self.n_tokens = self.n_past
        self.used_at = time.monotonic()

    def lend(self, prompt: Tokens, tag: str, n_shared: int) -> int:
        """Return the length of the prompt's prefix that it may reuse from this slot.

        Args:
            prompt: the prompt's tokens.
            tag: the tag of the prompt's user.
            n_shared: length of the prompt's prefix that is declared shared.
        """
        return lendable(self.held, prompt, same=tag == self.tag, n_shared=min(n_shared, self.n_shared))


def lendable(held: Tokens, prompt: Tokens, *, same: bool, n_shared: int) -> int:
    """Return the length of a prompt's prefix that it may reuse from another sequence.

    Args:
        held: the other sequence's tokens.
        prompt: the prompt's tokens. The last one is always evaluated, to get its logits.
        same: whether both belong to the same user.
        n_shared: length of the prefix that different users may share.
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
    """A response that is being generated in a slot."""

    generation: Generation
    slot: Slot
    sampler: Sampler
    shaper: LogitShaper
    assembler: TextAssembler
    """Makes text of its tokens."""
    guide: Guide | None = None
    """The same for a response with marks, in place of the assembler."""
    admitted_at: float = field(default_factory=time.perf_counter)
    first_token_at: float | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    """The logprobs of tokens whose text has not been sent yet."""
    lookup: Lookup = field(default_factory=Lookup)
    waited: int = 0
    """Steps since it last got prompt tokens, while its prompt is being evaluated."""
    leader: Sequence | None = None
    """The sequence that is evaluating a common prefix, which this sequence waits to copy."""
    n_led: int = 0
    """The length of that prefix."""

    @property
    def stopped_by(self) -> str | None:
        """The stop sequence that has ended the response."""
        return (self.guide or self.assembler).stopped_by

    @property
    def has_ended(self) -> bool:
        return self.slot.sequence is not self

    @property
    def is_decoding(self) -> bool:
        """Whether the prompt is evaluated and only the last generated token is pending."""
        return self.first_token_at is not None and self.slot.n_tokens == self.slot.n_past + 1
