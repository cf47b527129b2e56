"""Plans and runs a step, and finds the sequence that makes it fail.

Only the scheduler's thread may use this module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from collections.abc import Sequence as Parts
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from runtime.engine.generation.admission import SlotTable
from runtime.engine.generation.context import Batch, Context, EmbeddingBatch
from runtime.engine.generation.decisions import (
    Reader,
    StepCost,
    deal,
    drafts_allowed,
    prompt_budget,
    serve,
    with_first_tokens,
)
from runtime.engine.generation.pictures import Placed, stretch
from runtime.engine.generation.slots import Sequence

logger = logging.getLogger(__name__)

SCORED_TOKENS = 64
"""In a step, of all prompts whose own probabilities are reported. Each has the logits of the whole
vocabulary, and llama.cpp keeps room for as many as a step ever had."""


@dataclass(frozen=True)
class Part:
    """The tokens of one sequence that a step evaluates."""

    sequence: Sequence
    n_tokens: int
    """Number of known tokens."""
    drafts: tuple[int, ...] = ()
    """Guessed tokens after the known ones; only if the last known token is evaluated."""
    placed: Placed | None = None
    """The picture that the tokens belong to, all of them; None: they are text."""

    @property
    def is_scored(self) -> bool:
        """Whether it is a part of a prompt whose own probabilities are reported."""
        return self.sequence.generation.prompt.is_scored and self.sequence.first_token_at is None

    @property
    def n_logits(self) -> int:
        """Number of tokens that need logits: the last known one, if it is evaluated, and the guesses;
        all tokens of a prompt whose probabilities are reported."""
        if self.is_scored:
            return self.n_tokens
        return int(self.n_tokens == len(self.sequence.slot.pending)) + len(self.drafts)


class Planner:
    """Decides with `decisions.py` what the next step evaluates, and learns what steps cost.

    Args:
        n_batch: tokens that a step may have, at least one for each slot.
        looks_up: guess tokens by prompt lookup.
    """

    def __init__(self, n_batch: int, *, looks_up: bool) -> None:
        self._n_batch = n_batch
        self._looks_up = looks_up
        self._cost = StepCost()
        self._served: dict[str, float] = {}

    def plan(self, running: Iterable[Sequence]) -> list[Part]:
        """What the next step evaluates, in ascending order of the slots."""
        decoding = [sequence for sequence in running if sequence.is_decoding]
        reading = {
            sequence.slot.key: sequence
            for sequence in running
            if not sequence.is_decoding and sequence.leader is None
        }
        if any(not sequence.generation.user.is_batch for sequence in reading.values()):
            # Prompts of batches are read while no other is.
            reading = {
                key: sequence
                for key, sequence in reading.items()
                if not sequence.generation.user.is_batch
            }
        parts = [Part(sequence, 1, self._drafts(sequence, len(decoding))) for sequence in decoding]
        if reading:
            n_drafts = sum(len(part.drafts) for part in parts)
            dealt = self._deal(reading, len(decoding), self._n_batch - n_drafts)
            parts += [_reading_part(reading[key], n_tokens) for key, n_tokens in dealt.items()]
        return sorted(parts, key=lambda part: part.sequence.slot.key)

    def _drafts(self, sequence: Sequence, n_decoding: int) -> tuple[int, ...]:
        """Guesses of a response's next tokens, where they pay."""
        limits, slot = sequence.generation.limits, sequence.slot
        left = limits.max_tokens - sequence.generation.completion_tokens - 1
        at_most = min(left, drafts_allowed(self._cost, n_decoding=n_decoding, n_batch=self._n_batch))
        if not self._looks_up or at_most <= 0:
            return ()
        drafts = tuple(sequence.lookup.draft(slot.known, at_most).tolist())
        if sequence.generation.prompt.pictures:
            drafts = tuple(takewhile(lambda token: token >= 0, drafts))
        return drafts

    def _deal(self, reading: dict[int, Sequence], n_decoding: int, n_batch: int) -> dict[int, int]:
        """Prompt tokens by slot, for a step of `n_batch` tokens that has `n_decoding` responses."""
        readers = [
            Reader(
                key=key,
                tag=sequence.generation.user.tag,
                weight=sequence.generation.user.weight,
                remaining=_next_stretch(sequence)[1],
                waited=sequence.waited,
            )
            for key, sequence in reading.items()
        ]
        budget = prompt_budget(
            self._cost, n_decoding=n_decoding, n_reading=len(reading), n_batch=n_batch
        )
        dealt = deal(readers, self._served, budget)
        if n_decoding:
            dealt = with_first_tokens(dealt, readers, n_batch - n_decoding)
        dealt = _few_scored(dealt, reading)
        self._served = serve(readers, self._served, dealt)
        for key, sequence in reading.items():
            sequence.waited = 0 if key in dealt else sequence.waited + 1
        return dealt

    def observe(self, plan: Parts[Part], seconds: float) -> None:
        """Learn from a plan that took so many seconds to evaluate."""
        n_drafts = sum(len(part.drafts) for part in plan)
        n_prompt = n_drafts + sum(part.n_tokens for part in plan if part.n_tokens > 1)
        n_decoding = sum(part.n_tokens == 1 for part in plan)
        self._cost = self._cost.observed(n_decoding=n_decoding, n_prompt=n_prompt, seconds=seconds)


def _reading_part(sequence: Sequence, n_tokens: int) -> Part:
    placed, n_left = _next_stretch(sequence)
    is_whole = placed is not None and placed.picture.is_whole
    return Part(sequence, n_left if is_whole else n_tokens, placed=placed)


def _next_stretch(sequence: Sequence) -> tuple[Placed | None, int]:
    """What a sequence's prompt goes on with, a picture or text (None), and for how many tokens."""
    slot, pictures = sequence.slot, sequence.generation.prompt.pictures
    if not pictures:
        return None, len(slot.pending)
    placed, end = stretch(pictures, slot.n_past)
    return placed, len(slot.pending) if end is None else end - slot.n_past


def _few_scored(dealt: dict[int, int], reading: dict[int, Sequence]) -> dict[int, int]:
    """What is dealt, with at most `SCORED_TOKENS` for prompts that are scored."""
    left = SCORED_TOKENS
    kept: dict[int, int] = {}
    for key, n_tokens in dealt.items():
        n_kept = n_tokens
        if reading[key].generation.prompt.is_scored:
            n_kept = min(n_tokens, left)
            left -= n_kept
        if n_kept:
            kept[key] = n_kept
    return kept


class Evaluator:
    """Runs the parts of a step.

    Args:
        context: where they are evaluated.
        table: the slots they are in.
        n_batch: tokens that a step may have.
        take: called for each part with logits, with its first row; the rows last until then.
        fail: called for each sequence that cannot be evaluated, with the reason.
    """

    def __init__(
        self,
        context: Context,
        table: SlotTable,
        n_batch: int,
        *,
        take: Callable[[Part, int], None],
        fail: Callable[[Sequence, Exception], None],
    ) -> None:
        self._context = context
        self._table = table
        self._batch = Batch(n_batch)
        self._take = take
        self._fail = fail
        self.is_aborting = False
        """Set when the server is stopping: steps are aborted then, and no sequence is at fault."""

    def evaluate(self, parts: Parts[Part]) -> None:
        """Evaluate all parts: texts together, then pictures one by one."""
        texts = [part for part in parts if part.placed is None]
        if texts:
            self._evaluate_texts(texts)
        for part in parts:
            if part.placed is not None:
                self._evaluate_picture(part, part.placed)

    def _evaluate_picture(self, part: Part, placed: Placed) -> None:
        slot, picture = part.sequence.slot, placed.picture
        assert picture.embeddings is not None
        begin = slot.n_past - placed.at
        rows = picture.embeddings[begin : begin + part.n_tokens]
        batch = EmbeddingBatch(rows, slot.key, at=slot.n_past)
        decode = self._context.decode_whole if picture.is_whole else self._context.decode
        code = decode(batch)
        if code == 0:
            _advance(part)
        elif not self.is_aborting:
            logger.error("llama_decode returned %d for a picture", code)
            self._table.empty(slot)
            self._fail(part.sequence, RuntimeError("llama.cpp could not evaluate a picture"))

    def _evaluate_texts(self, parts: Parts[Part]) -> None:
        """Evaluate parts together; each alone if that fails, so that only the cause fails."""
        if self._evaluated(parts) or self.is_aborting:
            return
        # A failed step may leave tokens in the context: remove them, and keep earlier ones if possible.
        intact = [part for part in parts if self._table.rewind(part.sequence.slot)]
        for part in intact:
            if not self._evaluated([part]) and not self.is_aborting:
                self._table.empty(part.sequence.slot)
                self._fail(part.sequence, RuntimeError("llama.cpp could not evaluate it"))

    def _evaluated(self, parts: Parts[Part]) -> bool:
        """Evaluate parts and call `take` for each that has logits. False: the evaluation failed."""
        self._batch.clear()
        rows = []
        for part in parts:
            slot, n_logits = part.sequence.slot, part.n_logits
            tokens = slot.pending[: part.n_tokens]
            if part.drafts:
                tokens = np.append(tokens, np.asarray(part.drafts, dtype=np.int32))
            row = self._batch.add(slot.key, tokens, at=slot.n_past, n_logits=n_logits)
            rows.append(row if n_logits else None)
        code = self._context.decode(self._batch)
        if code != 0:
            if not self.is_aborting:
                logger.error("llama_decode returned %d for %d sequences", code, len(parts))
            return False
        for part in parts:
            _advance(part)
        for part, first_row in zip(parts, rows, strict=True):
            if first_row is not None:
                self._take(part, first_row)
        return True


def _advance(part: Part) -> None:
    """Note that a part's known tokens have been evaluated."""
    slot, generation = part.sequence.slot, part.sequence.generation
    slot.n_past += part.n_tokens
    n_read = min(slot.n_past, len(generation.prompt.tokens))
    generation.prompt_tokens = max(generation.prompt_tokens, n_read)  # it may be read again
