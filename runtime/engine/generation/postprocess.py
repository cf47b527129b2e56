"""Samples a step's logits and makes events of the tokens. For the scheduler's thread only."""

from __future__ import annotations

import time
from collections.abc import Sequence as Drafts

from runtime.engine import errors
from runtime.engine.generation.channel import Ended, Event, Piece, PromptRead, TokenLogprob
from runtime.engine.generation.context import Context
from runtime.engine.generation.generation import End, Generation
from runtime.engine.generation.marks.guide import Guide
from runtime.engine.generation.marks.markup import Phase
from runtime.engine.generation.sampling.logits import LogitShaper, logprob
from runtime.engine.generation.sampling.sampler import Sampler
from runtime.engine.generation.slots import Sequence, Slot
from runtime.engine.text import TextAssembler
from runtime.engine.vocabulary import Vocabulary


class Postprocessor:
    """Makes sequences, and makes events of their tokens."""

    def __init__(self, context: Context, vocabulary: Vocabulary) -> None:
        self._context = context
        self._vocabulary = vocabulary
        self._pieces = vocabulary.pieces
        self._ends = vocabulary.ends()
        self._is_end = frozenset(self._ends)

    def begin(self, generation: Generation, slot: Slot) -> Sequence:
        """A sequence for a response whose prompt has been set in a slot."""
        markup, stops, constraint = generation.markup, generation.prompt.stops, generation.constraint
        shaper = LogitShaper(
            bias=generation.limits.logit_bias,
            min_tokens=generation.limits.min_tokens,
            ends=self._ends,
            constraint=constraint if markup is None else None,
        )
        guide = None
        if markup is not None:
            guide = Guide(markup, stops, constraint, shaper, self._vocabulary)
        sequence = Sequence(
            generation=generation,
            slot=slot,
            sampler=Sampler(self._context, generation.sampling),
            shaper=shaper,
            assembler=TextAssembler(stops),
            guide=guide,
        )
        slot.sequence = sequence
        return sequence

    def score(self, sequence: Sequence, row: int, n_tokens: int) -> int:
        """Note the probabilities of a prompt's own tokens.

        Args:
            sequence: `n_tokens` of its prompt have just been evaluated.
            row: the batch row of the first of them.
            n_tokens: the number of prompt tokens in the step.

        Returns:
            The row of the last of them.
        """
        generation, slot = sequence.generation, sequence.slot
        top = generation.limits.top_logprobs or 0
        if slot.n_past == n_tokens:
            first = int(slot.known[0])
            sequence.logprobs.append(TokenLogprob(piece=self._pieces[first], logprob=None, top=[]))
        following = slot.known[slot.n_past - n_tokens + 1 : slot.n_past + 1]
        for number, token in enumerate(following.tolist()):
            logits = self._context.logits(row + number)
            sequence.logprobs.append(logprob(logits, token, top, self._pieces))
        return row + n_tokens - 1

    def take(
        self, sequence: Sequence, row: int, drafts: Drafts[int] = ()
    ) -> tuple[list[Event], str | None]:
        """Sample what a step's logits give.

        Args:
            sequence: its pending tokens have been evaluated.
            row: the batch row of the sequence's first token with logits.
            drafts: the guessed tokens that were evaluated after that token.

        Returns:
            The events for the client; and why the response has ended, None if it continues.

        Raises:
            Refusal: the constraint became too complex.
        """
        events: list[Event] = []
        if sequence.first_token_at is None:
            sequence.first_token_at = time.perf_counter()
            events.append(PromptRead(index=sequence.generation.index))
        text, reason = "", None
        if sequence.generation.limits.max_tokens == 0:
            return [*events, *self._texts(sequence, "", "length")], "length"
        for number in range(len(drafts) + 1):
            token = self._sample(sequence, row + number)
            reason = self._added(sequence, token)
            if token not in self._is_end:
                text += self._fed(sequence, token)
                if sequence.stopped_by is not None:
                    reason = "stop"
            if reason is not None or number == len(drafts) or token != drafts[number]:
                break
            sequence.slot.n_past += 1
        return events + self._texts(sequence, text, reason), reason

    def _fed(self, sequence: Sequence, token: int) -> str:
        """The text that is certain with a token; none where a guide keeps it."""
        guide = sequence.guide
        if guide is None:
            return sequence.assembler.feed(self._pieces[token])
        was_content = guide.phase is Phase.CONTENT
        guide.feed(token)
        sequence.generation.reasoning_tokens = guide.n_thought
        if not (was_content and guide.phase is Phase.CONTENT):
            sequence.logprobs.clear()
        return ""

    def _sample(self, sequence: Sequence, row: int) -> int:
        logits = self._context.logits(row)
        top = sequence.generation.limits.top_logprobs
        before = None if top is None else logits.copy()
        guide = sequence.guide
        token = None if guide is None else guide.forced
        if token is None:
            sequence.shaper.shape(logits)
            token = sequence.sampler.sample(row, logits)
            if guide is not None:
                token = guide.choose(token, is_end=token in self._is_end)
        if before is not None and top is not None and token not in self._is_end:
            sequence.logprobs.append(logprob(before, token, top, self._pieces))
        return token

    def _added(self, sequence: Sequence, token: int) -> str | None:
        """Add a token to the response. Returns why the response ends with it, or None."""
        if token in self._is_end:
            return "stop"
        generation = sequence.generation
        sequence.shaper.accept(token)
        sequence.slot.append(token)
        generation.completion_tokens += 1
        return "length" if generation.completion_tokens >= generation.limits.max_tokens else None

    def _texts(self, sequence: Sequence, text: str, reason: str | None) -> list[Event]:
        """The pieces for the text that is certain; the last one, if the response ends, says why."""
        guide = sequence.guide
        if guide is None:
            if reason is not None:
                text += sequence.assembler.finish()
            return [self._piece(sequence, text, reason)] if text or reason is not None else []
        if reason is not None:
            guide.finish()
        events: list[Event] = []
        spans = guide.spans()
        for number, (phase, part) in enumerate(spans):
            is_last = number == len(spans) - 1
            events.append(self._piece(sequence, part, reason if is_last else None, phase))
        if reason is not None and not spans:
            events.append(self._piece(sequence, "", reason))
        return events

    def _piece(
        self, sequence: Sequence, text: str, reason: str | None, phase: Phase = Phase.CONTENT
    ) -> Piece:
        logprobs: list[TokenLogprob] = []
        if phase is Phase.CONTENT:
            logprobs, sequence.logprobs = sequence.logprobs, []
        return Piece(
            text=text,
            logprobs=logprobs,
            finish_reason=reason,
            stop=sequence.stopped_by,
            index=sequence.generation.index,
            phase=phase,
        )

    def last_events(self, sequence: Sequence) -> list[Event]:
        """The last events, before `Ended`, of a response that was ended from outside."""
        if sequence.generation.ended_by is not End.DEADLINE or sequence.generation.failure is not None:
            return []
        return self._texts(sequence, "", "length")


def ended(generation: Generation) -> Event:
    """Mark a generation as ended. Returns the event for its channel."""
    if generation.ended_by is End.STOPPING and generation.failure is None:
        generation.failure = errors.stopping()
    generation.is_ended = True
    return Ended(index=generation.index)
