"""The loop of one embedding model: a thread that owns it and evaluates the inputs of many requests.

One turn: drop jobs that have ended, choose inputs for a batch (`packing.py`), evaluate them, hand out
what is complete. Other threads call `submit`, `stop` and `Job.end`, and wait for `Job.result`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

import numpy as np

from runtime.engine.embedding import packing
from runtime.engine.embedding.job import Job, Vectors
from runtime.engine.embedding.model import BATCH_TOKENS, EmbeddingModel, EvaluationError
from runtime.engine.generation.generation import End
from runtime.engine.metrics import Metrics
from runtime.engine.watchdog.progress import Progress

logger = logging.getLogger(__name__)

NICENESS = 10
"""Of the threads of a model that stands beside the one that generates."""

_Picked = list[tuple[Job, int]]
"""A batch: jobs, and which of their inputs."""
_Queue = tuple[bool, str]
"""Whether it is of lines of batches, and the user's tag."""


class Embedder:
    """Evaluates the inputs of many requests together.

    Args:
        model: from now on only the embedder's thread may use it.
        metrics: counts inputs and tokens.
        progress: is notified of each batch.
        is_beside: give way to the model that generates.
        threads: returns the number of threads for the next batch.
    """

    def __init__(
        self,
        model: EmbeddingModel,
        *,
        metrics: Metrics,
        progress: Progress,
        is_beside: bool,
        threads: Callable[[], int],
    ) -> None:
        self._model = model
        self._metrics = metrics
        self._progress = progress
        self._is_beside = is_beside
        self._threads = threads
        self._inbox: SimpleQueue[Job | None] = SimpleQueue()
        self._queues: dict[_Queue, deque[Job]] = {}
        """The jobs of each user that have inputs to be evaluated; the first is the next."""
        self._served: dict[bool, dict[str, float]] = {False: {}, True: {}}
        """What users have had, in lines of batches and beside them."""
        self._stopping = False

    # Any thread may call these.

    def start(self) -> None:
        """Start the embedder's thread."""
        threading.Thread(target=self._run, name="embedder", daemon=True).start()

    def submit(self, job: Job) -> None:
        """Queue a job. It ends once, whatever happens."""
        self._inbox.put(job)

    def stop(self) -> None:
        """End all jobs, present and future. May be called from a signal handler."""
        self._stopping = True
        self._model.switch.set(True)
        self._inbox.put(None)

    # Only the embedder's thread calls these.

    def _run(self) -> None:
        if self._is_beside:
            # On Linux priorities are threads', and those that llama.cpp starts inherit it.
            with suppress(OSError, AttributeError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while True:
            self.turn()

    def turn(self) -> None:
        """Receive jobs and evaluate one batch; block while there is no work."""
        self._receive()
        self._drop_ended()
        picked = self._picked()
        if not picked:
            return
        self._model.set_threads(self._threads())
        began = time.perf_counter()
        try:
            self._evaluate(picked)
        except Exception as error:
            logger.exception("a batch of embeddings failed")
            for job in {id(job): job for job, _ in picked}.values():
                self._fail(job, error)
        self._progress.step()
        seconds = time.perf_counter() - began
        if not picked[0][0].user.is_batch:
            self._put_off_lines(seconds)
        self._metrics.embedded(
            inputs=len(picked),
            tokens=sum(len(job.inputs[number]) for job, number in picked),
            seconds=seconds,
        )

    def _receive(self) -> None:
        """Move jobs from the inbox to their users' queues; block while there is no work."""
        if not self._queues:
            self._progress.rest()
            self._enqueue(self._inbox.get())
            self._progress.step()
        while True:
            try:
                self._enqueue(self._inbox.get_nowait())
            except Empty:
                return

    def _enqueue(self, job: Job | None) -> None:
        if job is not None:  # None only wakes the thread
            self._queues.setdefault(_queue_of(job), deque()).append(job)

    def _drop_ended(self) -> None:
        """End jobs whose client left or whose time is up; all of them when the server stops."""
        for queue, jobs in list(self._queues.items()):
            for job in list(jobs):
                if self._stopping:
                    job.end(End.STOPPING)
                if job.is_over():
                    jobs.remove(job)
                    job.finish()
            if not jobs:
                del self._queues[queue]

    def _picked(self) -> _Picked:
        """The inputs of the next batch, which their jobs then count as taken.

        Those of lines of batches only while there are no others.
        """
        is_batch = all(is_batch for is_batch, _ in self._queues)
        users = [
            packing.Waiting(tag=tag, weight=jobs[0].user.weight, lengths=self._lengths(jobs))
            for (of_batch, tag), jobs in self._queues.items()
            if of_batch == is_batch
        ]
        served = self._served[is_batch]
        chosen = packing.choose(users, served, n_tokens=BATCH_TOKENS, n_inputs=self._model.max_sequences)
        if is_batch:
            self._served[False] = {}
        self._served[is_batch] = packing.serve(users, served, chosen)
        return [self._next_of((is_batch, tag)) for tag in chosen]

    def _lengths(self, jobs: deque[Job]) -> list[int]:
        """Tokens of the inputs that `_next_of` would give, as many as a batch may have."""
        turns = deque((job.inputs, job.n_taken) for job in jobs)
        lengths: list[int] = []
        while turns and len(lengths) < self._model.max_sequences:
            inputs, number = turns.popleft()
            lengths.append(len(inputs[number]))
            if number + 1 < len(inputs):
                turns.append((inputs, number + 1))
        return lengths

    def _next_of(self, queue: _Queue) -> tuple[Job, int]:
        """Take the next input of a user: its jobs get turns."""
        jobs = self._queues[queue]
        job = jobs.popleft()
        number = job.n_taken
        job.n_taken += 1
        if job.deadline is None:
            job.deadline = time.monotonic() + job.seconds
        if job.n_taken < len(job.inputs):
            jobs.append(job)
        elif not jobs:
            del self._queues[queue]
        return job, number

    def _evaluate(self, picked: _Picked) -> None:
        """Evaluate inputs together; each alone if that fails, so that only the cause fails."""
        try:
            self._put(picked, self._model.rows([job.inputs[number] for job, number in picked]))
        except EvaluationError as error:
            if self._stopping:
                for job, _ in picked:
                    job.end(End.STOPPING)
                    self._complete(job)
                return
            logger.error("llama.cpp returned %s for a batch of %d inputs", error, len(picked))
            for job, number in picked:
                self._evaluate_alone(job, number)

    def _evaluate_alone(self, job: Job, number: int) -> None:
        try:
            self._put([(job, number)], self._model.rows([job.inputs[number]]))
        except EvaluationError as error:
            self._fail(job, error)

    def _put(self, picked: _Picked, rows: Vectors) -> None:
        for (job, number), row in zip(picked, rows, strict=True):
            if job.rows is None:
                job.rows = np.empty((len(job.inputs), len(row)), dtype=np.float32)
            job.rows[number] = row
            job.prompt_tokens += len(job.inputs[number])
            if not np.isfinite(row).all():
                self._fail(job, ValueError("the model's numbers are not finite"))
            elif number == len(job.inputs) - 1:
                self._complete(job)

    def _fail(self, job: Job, error: Exception) -> None:
        job.failure = job.failure or error
        self._complete(job)

    def _complete(self, job: Job) -> None:
        """End a job, unless it has ended."""
        jobs = self._queues.get(_queue_of(job))
        if jobs is not None and job in jobs:
            jobs.remove(job)
            if not jobs:
                del self._queues[_queue_of(job)]
        if not job.is_ended:
            job.finish()

    def _put_off_lines(self, seconds: float) -> None:
        """Let lines of batches, which others went before, have as much more time."""
        for (is_batch, _), jobs in self._queues.items():
            for job in jobs if is_batch else ():
                if job.deadline is not None:
                    job.deadline += seconds


def _queue_of(job: Job) -> _Queue:
    return job.user.is_batch, job.user.tag
