"""One response: its prompt and settings, how it can be ended, and its token counts.

Owns the state that the endpoint (in the event loop) and the scheduler (in its thread) share.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from runtime.engine.generation.channel import Channel
from runtime.engine.generation.marks.markup import Markup
from runtime.engine.generation.pictures import Placed
from runtime.engine.grammar.constraint import Constraint


class End(Enum):
    """Why a response was ended from outside."""

    LEFT = "the client left"
    DEADLINE = "its time was up"
    STOPPING = "the server is being stopped"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The model's input."""

    tokens: Sequence[int]
    stops: Sequence[str] = ()
    """Texts that end the response."""
    echo: str = ""
    """Text that is put before the response's text."""
    is_scored: bool = False
    """Whether the probabilities of the prompt's tokens are reported. Then nothing of it is reused."""
    tail: str = ""
    """The end of a chat's text, with which its template may begin the response."""
    n_shared: int = 0
    """Length of the prefix that any user may reuse (LLAMA_SERVER_SHARED_PREFIX)."""
    pictures: Sequence[Placed] = ()
    """Its images. In `tokens` their positions have the images' ids. The last token is none of them."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a token is drawn. Names, ranges and order are llama.cpp's."""

    temperature: float = 0.8
    top_p: float = 0.95
    min_p: float = 0.05
    top_k: int = 40
    repeat_penalty: float = 1.1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    mirostat_mode: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    seed: int | None = None
    """None draws one."""


@dataclass(frozen=True, kw_only=True)
class GenerationLimits:
    """The limits of a response, and settings other than sampling."""

    max_tokens: int
    min_tokens: int = 0
    seconds: float
    """From its admission to a slot, prompt included."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    top_logprobs: int | None = None
    """How many alternatives are reported with each token; None reports no probabilities."""


@dataclass(frozen=True, kw_only=True)
class User:
    """The user of a request, as far as the engine needs to know."""

    tag: str = ""
    """Opaque. Prefixes are shared, and prompt work is dealt, within a tag."""
    weight: float = 1.0
    is_batch: bool = False
    """Whether it is a line of a batch, which gives up its slot to others."""


@dataclass(kw_only=True, eq=False)
class Work:
    """What the model does for a request, and how it ends. `end` may be called from any thread."""

    user: User = field(default_factory=User)
    ended_by: End | None = None
    deadline: float | None = None
    """Monotonic; None until it has begun."""
    is_ended: bool = False
    """Set when the model has finished with it: the token counts are final."""
    failure: Exception | None = None
    """The engine's error that ended it; the client gets it."""

    def end(self, reason: End) -> None:
        """End it with the next step. Only the first reason counts."""
        if self.ended_by is None:
            self.ended_by = reason

    def is_over(self) -> bool:
        """Whether it must end now. Also ends it if its deadline has passed."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.end(End.DEADLINE)
        return self.ended_by is not None


@dataclass(kw_only=True, eq=False)
class Generation(Work):
    """One response. `end` may be called from any thread, at any time; the rest is the scheduler's."""

    prompt: Prompt
    limits: GenerationLimits
    sampling: Sampling = field(default_factory=Sampling)
    constraint: Constraint | None = None
    """The schema or grammar of the response, compiled before the generation is submitted."""
    markup: Markup | None = None
    """The marks in the response's text; None: it is all content, and the constraint holds at once."""
    channel: Channel = field(default_factory=Channel)
    """Receives the response's events."""
    index: int = 0
    """The response's number among those of the same request."""
    prompt_tokens: int = 0
    """Tokens of the prompt that have been evaluated or reused so far."""
    cached_tokens: int = 0
    """Those of them that were reused."""
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    """Those of them in which the model thought."""
