"""The loop that generates: one thread which owns the context, the slots and all that grows in them.

A step: drop who is over, admit who waits, evaluate one token for each response that grows and prompt
tokens within a budget, take the new tokens, post what they bring. What is decided is in
`decisions.py`. Everybody else sends events (`submit`, `stop`, `Generation.end`) and reads a channel.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from runtime.engine.generation.admission import SlotTable
from runtime.engine.generation.channel import Channel, Event, deliver
from runtime.engine.generation.context import Context
from runtime.engine.generation.decisions import Waiting, admit, moved_into_gap
from runtime.engine.generation.generation import End, Generation
from runtime.engine.generation.postprocess import Postprocessor, ended
from runtime.engine.generation.slots import Sequence
from runtime.engine.generation.steps import Evaluator, Part, Planner
from runtime.engine.metrics import Metrics
from runtime.engine.vocabulary import Vocabulary
from runtime.engine.watchdog.abort import AbortSwitch
from runtime.engine.watchdog.progress import Progress

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Queued:
    """A generation that waits for a slot."""

    generation: Generation
    passed_over: int = 0


class Scheduler:
    """Generates for many at once.

    Args:
        context: llama.cpp's, of this thread alone from now on.
        table: its slots.
        vocabulary: the model's.
        n_batch: tokens that a step may evaluate, at least one for each slot.
        switch: breaks a step off.
        metrics: counts tokens and seconds.
        progress: told of each step.
        looks_up: guess tokens by prompt lookup, where the context can drop wrong ones.
    """

    def __init__(
        self,
        context: Context,
        table: SlotTable,
        vocabulary: Vocabulary,
        *,
        n_batch: int,
        switch: AbortSwitch,
        metrics: Metrics,
        progress: Progress,
        looks_up: bool = True,
    ) -> None:
        self._table = table
        self._postprocessor = Postprocessor(context, vocabulary)
        self._planner = Planner(n_batch, looks_up=looks_up and context.can_trim)
        self._evaluator = Evaluator(context, table, n_batch, take=self._take, fail=self._fail)
        self._switch = switch
        self._metrics = metrics
        self._progress = progress
        self._inbox: SimpleQueue[Generation | None] = SimpleQueue()
        self._waiting: list[_Queued] = []
        self._running: list[Sequence] = []
        self._post: list[tuple[Channel, Event]] = []
        self._stopping = False

    # From any thread.

    @property
    def n_slots(self) -> int:
        return len(self._table.slots)

    @property
    def n_running(self) -> int:
        return len(self._running)

    @property
    def n_waiting(self) -> int:
        return len(self._waiting) + self._inbox.qsize()

    def start(self) -> None:
        """Generate from now on, in a thread of its own."""
        threading.Thread(target=self._run, name="scheduler", daemon=True).start()

    def submit(self, generations: Iterable[Generation]) -> None:
        """Have responses generated. Each one's channel gets exactly one `Ended`, whatever happens."""
        for generation in generations:
            self._inbox.put(generation)

    def stop(self) -> None:
        """End all responses, and each that comes from now on. A signal's handler may call it."""
        self._stopping = True
        self._evaluator.is_aborting = True
        self._switch.set(True)
        self._inbox.put(None)

    @property
    def is_aborting(self) -> bool:
        """Whether steps are being broken off, which llama.cpp logs as errors."""
        return self._stopping

    # In its own thread.

    def _run(self) -> None:
        while True:
            self.turn()

    def turn(self) -> None:
        """Take what has come in and make a step; waits while there is nothing to do."""
        self._receive()
        try:
            self._step()
        except Exception as error:
            logger.exception("a step failed; all responses under way end with it")
            self._end_all(error)
        self._tell()

    def _receive(self) -> None:
        """Take what has come in; wait for it while there is nothing to do."""
        if not self._running and not self._waiting:
            self._progress.rest()
            self._metrics.busy(running=0, waiting=0)
            self._take_in(self._inbox.get())
            self._progress.step()
        while True:
            try:
                self._take_in(self._inbox.get_nowait())
            except Empty:
                return

    def _take_in(self, generation: Generation | None) -> None:
        if generation is not None:
            self._waiting.append(_Queued(generation))

    def _tell(self) -> None:
        """Post what the step has brought."""
        self._metrics.saved_bytes(self._table.saved_bytes)
        self._metrics.busy(running=len(self._running), waiting=len(self._waiting))
        post, self._post = self._post, []
        if post:
            deliver(post)

    def _add(self, generation: Generation, events: Iterable[Event]) -> None:
        self._post += [(generation.channel, event) for event in events]

    def _step(self) -> None:
        self._drop_over()
        self._admit()
        self._follow()
        self._close_gap()
        if plan := self._planner.plan(self._running):
            began = time.perf_counter()
            self._evaluator.evaluate(plan)
            self._progress.step()
            self._planner.observe(plan, time.perf_counter() - began)
            self._metrics.stepped(len(plan))

    def _drop_over(self) -> None:
        """End who has left, whose time is up, and everybody when the server is being stopped."""
        for queued in list(self._waiting):
            if self._is_over(queued.generation):
                self._waiting.remove(queued)
                self._add(queued.generation, [ended(queued.generation)])
        for sequence in list(self._running):
            if self._is_over(sequence.generation):
                self._add(sequence.generation, self._postprocessor.last_events(sequence))
                self._finish(sequence)

    def _is_over(self, generation: Generation) -> bool:
        if self._stopping:
            generation.end(End.STOPPING)
        return generation.is_over()

    def _finish(self, sequence: Sequence) -> None:
        """Let go of a sequence; its slot is free."""
        generation = sequence.generation
        self._running.remove(sequence)
        sequence.slot.release()
        sequence.sampler.close()
        first_at, now = sequence.first_token_at, time.perf_counter()
        self._metrics.count(
            prompt_tokens=len(generation.prompt.tokens),
            cached_tokens=generation.cached_tokens,
            completion_tokens=generation.completion_tokens,
            prompt_s=(first_at or now) - sequence.admitted_at,
            generation_s=0.0 if first_at is None else now - first_at,
        )
        self._add(generation, [ended(generation)])

    def _end_all(self, error: Exception) -> None:
        """After a defect: nothing in the slots can be relied on."""
        for sequence in list(self._running):
            self._fail(sequence, error)
        for slot in self._table.slots:
            self._table.empty(slot)

    def _admit(self) -> None:
        if not self._waiting or not self._table.n_free:
            return
        running = Counter(sequence.generation.user.tag for sequence in self._running)
        keys = admit(self._views(), running, self._table.n_free)
        admitted = [self._waiting[key] for key in keys]
        for queued in admitted:
            self._waiting.remove(queued)
            try:
                self._begin(queued.generation)
            except Exception as error:
                queued.generation.failure = error
                self._add(queued.generation, [ended(queued.generation)])
        tags = Counter(queued.generation.user.tag for queued in admitted)
        for queued in self._waiting:
            queued.passed_over += len(admitted) - tags[queued.generation.user.tag]

    def _views(self) -> list[Waiting]:
        """Those who wait, as `admit` has to know them. Responses to one request share a channel."""
        known = {sequence.generation.channel for sequence in self._running}
        views = []
        for key, queued in enumerate(self._waiting):
            user, channel = queued.generation.user, queued.generation.channel
            views.append(
                Waiting(
                    key=key,
                    tag=user.tag,
                    weight=user.weight,
                    passed_over=queued.passed_over,
                    is_further=channel in known,
                )
            )
            known.add(channel)
        return views

    def _begin(self, generation: Generation) -> None:
        generation.deadline = time.monotonic() + generation.limits.seconds
        slot = self._table.place(generation)
        sequence = self._postprocessor.begin(generation, slot)
        generation.prompt_tokens = generation.cached_tokens = slot.n_past
        if not generation.prompt.is_scored:
            sequence.leader, sequence.n_led = self._table.leader(slot)
        self._running.append(sequence)

    def _follow(self) -> None:
        """Who waits for another to read the same beginning copies it when it is there."""
        for sequence in self._running:
            leader = sequence.leader
            if leader is None or (leader.slot.n_past < sequence.n_led and not leader.has_ended):
                continue
            sequence.leader = None
            if self._table.adopt(sequence.slot, leader.slot):
                generation = sequence.generation
                generation.prompt_tokens = generation.cached_tokens = sequence.slot.n_past

    def _close_gap(self) -> None:
        """Sequences with consecutive ids are computed together: move one that is not."""
        slots = self._table.slots
        free = [slot.key for slot in slots if slot.is_free]
        move = moved_into_gap([sequence.slot.key for sequence in self._running], free)
        if move is None:
            return
        self._table.move(slots[move[0]], slots[move[1]])

    def _take(self, part: Part, row: int) -> None:
        """Take what follows from a part whose logits begin at a batch's row."""
        sequence, slot = part.sequence, part.sequence.slot
        if part.is_scored:
            row = self._postprocessor.score(sequence, row, part.n_tokens)
            if len(slot.pending):
                return
        n_before = slot.n_past
        try:
            events, reason = self._postprocessor.take(sequence, row, part.drafts)
        except Exception as error:
            self._fail(sequence, error)
            return
        finally:
            if part.drafts:
                self._settle(part, accepted=slot.n_past - n_before)
        self._add(sequence.generation, events)
        if reason is not None:
            self._finish(sequence)

    def _settle(self, part: Part, *, accepted: int) -> None:
        """Drop the guesses that were wrong."""
        proposed, slot = len(part.drafts), part.sequence.slot
        if accepted < proposed:
            self._table.rewind(slot)
        part.sequence.lookup.observe(slot.n_tokens, proposed=proposed, accepted=accepted)
        self._metrics.drafted(proposed=proposed, accepted=accepted)

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        sequence.generation.failure = error
        self._finish(sequence)
