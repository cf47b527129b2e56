"""One request's inputs, how it can be ended, and what has become of them.

Owns the state that the endpoint (in the event loop) and the embedder (in its thread) share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.engine import errors
from runtime.engine.generation.channel import Channel, Ended, deliver
from runtime.engine.generation.generation import End, User, Work

Vectors = NDArray[np.float32]
Tokens = NDArray[np.int32]


@dataclass(kw_only=True, eq=False)
class Job(Work):
    """The inputs of one request. `end` may be called from any thread; the rest is the embedder's."""

    inputs: Sequence[Tokens]
    """At least one, each with at least one token and no more than the model's context."""
    seconds: float
    """The limit from the first evaluation of an input on."""
    rows: Vectors | None = None
    """A row for each input, once all have been evaluated."""
    prompt_tokens: int = 0
    """Tokens that have been evaluated so far."""
    completion_tokens: int = 0
    cached_tokens: int = 0
    n_taken: int = 0
    """Number of inputs that have been put into a batch."""
    _channel: Channel | None = None

    @property
    def prompt(self) -> Job:
        """What identifies the input in a request's usage."""
        return self

    @property
    def n_tokens(self) -> int:
        """Tokens of all inputs."""
        return sum(map(len, self.inputs))

    def open(self, user: User) -> None:
        """Make the job the user's. Must be called in the event loop that waits for the result."""
        self.user = user
        self._channel = Channel()

    def finish(self) -> None:
        """Mark the job as ended, and wake who waits for it. For the embedder only, once."""
        self.is_ended = True
        assert self._channel is not None
        deliver([(self._channel, Ended())])

    async def result(self) -> Vectors:
        """Wait for the end.

        Raises:
            Refusal: the server stops, or the time is up.
            Exception: the model could not evaluate an input.
        """
        assert self._channel is not None
        await self._channel.get()
        if self.ended_by is End.STOPPING:
            raise errors.stopping()
        if self.ended_by is not None:
            raise errors.embeddings_took_too_long(self.seconds)
        if self.failure is not None:
            raise self.failure
        assert self.rows is not None
        return self.rows
