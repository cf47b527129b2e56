"""One answer under way: what it is made from, who may end it, and what it came to.

Owns the state that the endpoint (in the event loop) and the model (in a worker thread) share.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from runtime.engine.grammar.constraint import Constraint
from runtime.engine.watchdog.abort import AbortSwitch


class End(Enum):
    """Why an answer was ended from outside."""

    LEFT = "the client left"
    DEADLINE = "its time was up"
    STOPPING = "the server is being stopped"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What the model is given."""

    tokens: Sequence[int]
    stops: Sequence[str] = ()
    """Texts that end the answer."""
    echo: str = ""
    """Stands before the answer's text."""


@dataclass(frozen=True, kw_only=True)
class GenerationLimits:
    """What bounds an answer and shapes it, sampling aside."""

    max_tokens: int
    min_tokens: int = 0
    seconds: float
    """Of the model's time, prompt included."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    top_logprobs: int | None = None
    """How many alternatives are reported with each token; None reports no probabilities."""


@dataclass(kw_only=True)
class Generation:
    """One answer. `end` may be called from any thread, at any time; the rest is the model's."""

    prompt: Prompt
    limits: GenerationLimits
    constraint: Constraint | None = None
    """What the answer is held to; compiled before the model is asked."""
    completion_tokens: int = 0
    include_usage: bool = False
    """Whether a stream ends with a chunk that tells the usage."""
    call: str | None = None
    """The function whose arguments the answer is, where the request named one."""
    legacy_call: bool = False
    """Whether that is told in the older form, `function_call`."""
    ended_by: End | None = None
    deadline: float | None = None
    """Monotonic; None until the model has begun."""
    pieces: Generator[Any, None, None] | None = None
    """What generates it. A stream that is broken off leaves it suspended, with the model in hand."""
    failure: Exception | None = None
    """What ended it inside the model; the client is told."""
    _switch: AbortSwitch | None = None
    # Reentrant: a signal's handler may call `end` in the midst of it.
    _mutex: threading.RLock = field(default_factory=threading.RLock)

    @property
    def usage(self) -> dict[str, int]:
        """As OpenAI's answers have it."""
        n_prompt = len(self.prompt.tokens)
        return {
            "prompt_tokens": n_prompt,
            "completion_tokens": self.completion_tokens,
            "total_tokens": n_prompt + self.completion_tokens,
        }

    def begin(self, switch: AbortSwitch) -> None:
        """The model is this answer's from now on."""
        with self._mutex:
            self.deadline = time.monotonic() + self.limits.seconds
            self._switch = switch
            switch.set(self.ended_by is not None)

    def close(self) -> None:
        """Nobody takes any more of it: let go of the model."""
        if self.pieces is not None:
            # Still running in its thread, as when the process is about to end: it sees `ended_by`.
            with suppress(ValueError):
                self.pieces.close()

    def release(self) -> None:
        """The model is no longer this answer's; `end` does not reach it any more."""
        with self._mutex:
            if self._switch is not None:
                self._switch.set(False)
            self._switch = None

    def end(self, reason: End) -> None:
        """End it within a token, and within a layer where llama.cpp can be interrupted."""
        with self._mutex:
            if self.ended_by is None:
                self.ended_by = reason
            if self._switch is not None:
                self._switch.set(True)

    def is_over(self) -> bool:
        """Whether the model should stop; ends it when its time is up."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.end(End.DEADLINE)
        return self.ended_by is not None


current: ContextVar[Generation] = ContextVar("generation")
"""The answer that the running request asks for. Worker threads get it with the request's context."""
