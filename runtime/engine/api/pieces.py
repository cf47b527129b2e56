"""What a response consists of, whichever API it is written for: text, reasoning, calls and an end.

`readers.py` makes these pieces of what the model has generated; `shapes/` writes them in an API's form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runtime.engine.generation.channel import TokenLogprob

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Text:
    """Some of a response's text. `choice` is the response's number among those of the request."""

    choice: int
    text: str
    logprobs: Sequence[TokenLogprob] = ()
    """The tokens that came since the piece before."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Some of what the model thinks before its response."""

    choice: int
    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    """A call of a function begins; `call` is its number in the response, from 0."""

    choice: int
    call: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """Some of a call's arguments: a part of the JSON of an object."""

    choice: int
    call: int
    text: str


@dataclass(frozen=True, slots=True)
class End:
    """A response's last piece."""

    choice: int
    finish_reason: FinishReason
    stop: str | None = None
    """The stop sequence that ended it: the request's, or one of the chat template."""


ReplyPiece = Text | Reasoning | CallStart | CallArguments | End
