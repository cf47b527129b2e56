"""The generation loop: one thread that owns the context, its slots and the running sequences.

One step: remove ended generations, admit waiting ones, evaluate one token for each decoding sequence and
prompt tokens within a budget, sample the next tokens, and post the resulting events. `decisions.py` has
the policies. Other threads call `submit`, `stop` and `Generation.end`, and read channels.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from queue import SimpleQueue

from runtime.engine.generation.admission import SlotTable
from runtime.engine.generation.channel import Channel, Event, deliver
from runtime.engine.generation.context import Context
from runtime.engine.generation.decisions import Waiting
from runtime.engine.generation.generation import End, Generation
from runtime.engine.generation.pausing import Paused, to_pause
from runtime.engine.generation.postprocess import Postprocessor, ended
from runtime.engine.generation.slots import Sequence
from runtime.engine.generation.steps import Evaluator, Part, Planner
from runtime.engine.generation.waiting import WaitingList
from runtime.engine.metrics import Metrics
from runtime.engine.threads import StepThreads
from runtime.engine.vocabulary import Vocabulary
from runtime.engine.watchdog.abort import AbortSwitch
from runtime.engine.watchdog.progress import Progress

logger = logging.getLogger(__name__)


class Scheduler:
    """Generates many responses at once.

    Args:
        context: the llama.cpp context; from now on only the scheduler's thread may use it.
        table: the context's slots.
        vocabulary: the model's vocabulary.
        n_batch: the most tokens that a step may evaluate, at least one for each slot.
        switch: aborts a running step.
        metrics: counts tokens and seconds.
        progress: is notified of each step.
        threads: the context's numbers of threads.
        looks_up: guess tokens by prompt lookup, if the context can drop wrong guesses.
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
        threads: StepThreads,
        looks_up: bool = True,
    ) -> None:
        self._table = table
        self._postprocessor = Postprocessor(context, vocabulary)
        self._planner = Planner(n_batch, looks_up=looks_up and context.can_trim)
        self._evaluator = Evaluator(context, table, n_batch, take=self._take, fail=self._fail)
        self._switch = switch
        self._metrics = metrics
        self._progress = progress
        self._threads = threads
        self._inbox: SimpleQueue[Generation | None] = SimpleQueue()
        self._waiting = WaitingList()
        self._running: list[Sequence] = []
        self._paused = Paused(table)
        self._post: list[tuple[Channel, Event]] = []
        """The events of the current step."""
        self._stopping = False

    # Any thread may call these.

    @property
    def n_slots(self) -> int:
        return len(self._table.slots)

    @property
    def n_running(self) -> int:
        return len(self._running)

    @property
    def n_waiting(self) -> int:
        return len(self._waiting) + len(self._paused) + self._inbox.qsize()

    def start(self) -> None:
        """Start the scheduler's thread."""
        threading.Thread(target=self._run, name="scheduler", daemon=True).start()

    def submit(self, generations: Iterable[Generation]) -> None:
        """Queue generations. Each one's channel gets exactly one `Ended` event, whatever happens."""
        for generation in generations:
            self._inbox.put(generation)

    def stop(self) -> None:
        """End all generations, present and future. May be called from a signal handler."""
        self._stopping = True
        self._evaluator.is_aborting = True
        self._switch.set(True)
        self._inbox.put(None)

    @property
    def is_aborting(self) -> bool:
        """Whether steps are being aborted. llama.cpp logs that as errors, which are then expected."""
        return self._stopping

    # Only the scheduler's thread calls these.

    def _run(self) -> None:
        while True:
            self.turn()

    def turn(self) -> None:
        """Receive generations, run one step and deliver its events; block while there is no work."""
        self._receive()
        try:
            self._step()
        except Exception as error:
            logger.exception("a step failed; all responses under way end with it")
            self._end_all(error)
        self._deliver()

    def _receive(self) -> None:
        """Move generations from the inbox to the waiting list; block while there is no work."""
        if not (self._running or self._waiting or self._paused):
            self._progress.rest()
            self._metrics.busy(running=0, waiting=0)
            self._enqueue(self._inbox.get())
            self._progress.step()
        while not self._inbox.empty():  # nobody else takes from it
            self._enqueue(self._inbox.get())

    def _enqueue(self, generation: Generation | None) -> None:
        if generation is not None:  # None only wakes the thread
            self._waiting.add(generation)

    def _deliver(self) -> None:
        """Update the gauges, and deliver the step's events to their channels."""
        self._metrics.saved_bytes(self._table.saved_bytes)
        self._metrics.busy(running=len(self._running), waiting=len(self._waiting))
        post, self._post = self._post, []
        if post:
            deliver(post)

    def _add(self, generation: Generation, events: Iterable[Event]) -> None:
        self._post += [(generation.channel, event) for event in events]

    def _step(self) -> None:
        self._remove_ended()
        self._admit()
        self._table.copy_from_leaders()
        self._table.close_gap()
        if plan := self._planner.plan(self._running):
            self._threads.set_for(sum(part.n_tokens + len(part.drafts) for part in plan))
            began = time.perf_counter()
            self._evaluator.evaluate(plan)
            self._progress.step()
            self._planner.observe(plan, time.perf_counter() - began)
            self._metrics.stepped(len(plan))

    def _remove_ended(self) -> None:
        """End generations whose client left or whose time is up; all of them when the server stops."""
        for generation in self._waiting.take_ended(self._is_over):
            self._add(generation, [ended(generation)])
        for sequence in list(self._running):
            if self._is_over(sequence.generation):
                self._add(sequence.generation, self._postprocessor.last_events(sequence))
                self._finish(sequence)
        for sequence in self._paused.take_ended(self._is_over):
            self._add(sequence.generation, self._postprocessor.last_events(sequence))
            self._close(sequence)

    def _is_over(self, generation: Generation) -> bool:
        if self._stopping:
            generation.end(End.STOPPING)
        return generation.is_over()

    def _finish(self, sequence: Sequence) -> None:
        """End a sequence: free its slot, count its tokens and times, post `Ended`."""
        self._running.remove(sequence)
        sequence.slot.release()
        self._close(sequence)

    def _close(self, sequence: Sequence) -> None:
        """End a sequence that is in no slot any more."""
        generation = sequence.generation
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
        """Fail all sequences and empty all slots: after a defect their contents are unreliable."""
        for sequence in list(self._running):
            self._fail(sequence, error)
        for slot in self._table.slots:
            self._table.empty(slot)

    def _admit(self) -> None:
        """Begin what waits; lines of batches with the slots that nothing else needs."""
        if not (self._waiting or self._paused):
            return
        views = self._waiting.views(self._running)
        urgent = [view for view in views if not view.is_batch]
        n_urgent = sum(not view.is_further for view in urgent)
        for sequence in to_pause(self._running, n_urgent - self._table.n_free):
            self._running.remove(sequence)
            self._paused.pause(sequence)
        self._begin_some(urgent)
        views = self._waiting.views(self._running)
        if any(not (view.is_batch or view.is_further) for view in views):
            return
        while self._paused and self._table.n_free:
            self._running.append(self._paused.resume())
        self._begin_some([view for view in views if view.is_batch])

    def _begin_some(self, views: list[Waiting]) -> None:
        """Begin as many of those who wait as there are slots."""
        if not views or not self._table.n_free:
            return
        for generation in self._waiting.take(views, self._running, self._table.n_free):
            try:
                self._begin(generation)
            except Exception as error:
                generation.failure = error
                self._add(generation, [ended(generation)])

    def _begin(self, generation: Generation) -> None:
        generation.deadline = time.monotonic() + generation.limits.seconds
        slot = self._table.place(generation)
        sequence = self._postprocessor.begin(generation, slot)
        generation.prompt_tokens = generation.cached_tokens = slot.n_past
        if not generation.prompt.is_scored:
            self._table.follow(sequence)
        self._running.append(sequence)

    def _take(self, part: Part, row: int) -> None:
        """Sample the tokens that follow a part. `row` is its first row of logits in the batch."""
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
                self._drop_wrong_guesses(part, accepted=slot.n_past - n_before)
        self._add(sequence.generation, events)
        if reason is not None:
            self._finish(sequence)

    def _drop_wrong_guesses(self, part: Part, *, accepted: int) -> None:
        """Remove wrong guesses from the slot; count how many were right."""
        proposed, slot = len(part.drafts), part.sequence.slot
        if accepted < proposed:
            self._table.rewind(slot)
        part.sequence.lookup.observe(slot.n_tokens, proposed=proposed, accepted=accepted)
        self._metrics.drafted(proposed=proposed, accepted=accepted)

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        sequence.generation.failure = error
        self._finish(sequence)
