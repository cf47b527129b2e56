"""Lines of batches give way to everything else, without a model."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from runtime.engine.embedding.embedder import Embedder
from runtime.engine.embedding.job import Job
from runtime.engine.embedding.model import BATCH_TOKENS
from runtime.engine.generation.generation import User

EVALUATION_S = 0.01


class Evaluations:
    """In place of a model: notes the first token of each input."""

    max_sequences = 8

    def __init__(self) -> None:
        self.seen: list[int] = []

    def set_threads(self, _: int) -> None:
        """There are none."""

    def rows(self, inputs: list[Any]) -> Any:
        self.seen += [int(tokens[0]) for tokens in inputs]
        time.sleep(EVALUATION_S)
        return np.ones((len(inputs), 2), dtype=np.float32)


def job_of(number: int, n_inputs: int, user: User) -> Job:
    """Inputs of this token, each of which fills a batch."""
    tokens = np.full(BATCH_TOKENS, number, dtype=np.int32)
    job = Job(inputs=[tokens] * n_inputs, seconds=60.0)
    job.open(user)
    return job


async def test_they_wait_while_anything_else_does() -> None:
    """Of other users and the same one; then they go on, and have not lost the time that they waited."""
    model = Evaluations()
    nothing = SimpleNamespace(embedded=lambda **_: None, step=lambda: None, rest=lambda: None)
    parts: Any = {"metrics": nothing, "progress": nothing, "is_beside": False, "threads": lambda: 1}
    embedder = Embedder(cast("Any", model), **parts)
    line = job_of(1, 3, User(tag="a", is_batch=True))
    embedder.submit(line)
    embedder.turn()
    before = line.deadline
    for number, tag in ((2, "a"), (3, "b")):
        embedder.submit(job_of(number, 2, User(tag=tag)))
    for _ in range(6):
        embedder.turn()

    assert (model.seen[0], sorted(model.seen[1:5]), model.seen[5:]) == (1, [2, 2, 3, 3], [1, 1])
    assert line.is_ended
    assert before is not None
    assert line.deadline is not None
    assert line.deadline >= before + 4 * EVALUATION_S
