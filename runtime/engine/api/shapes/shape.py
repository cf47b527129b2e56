"""What all shapes of responses have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from runtime.engine.api.pieces import CallArguments, CallStart, End, Reasoning, ReplyPiece, Text
from runtime.engine.errors import Refusal
from runtime.engine.generation.channel import TokenLogprob

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a request asks of its response's form."""

    model: str
    fingerprint: str
    """`system_fingerprint`."""
    include_usage: bool = False
    """Whether a stream ends with a chunk that contains the usage."""
    legacy_call: bool = False
    """Whether a call has the older form, `function_call`."""


class Shape(Protocol):
    """How one kind of response is written. The methods with a body suit OpenAI's chunks."""

    def whole(self, pieces: Sequence[ReplyPiece]) -> Object:
        """The response in one object, from all of its pieces."""

    def chunks(self, pieces: Sequence[ReplyPiece]) -> list[Object]:
        """The events of a stream for the pieces that came together; of one choice, in order."""

    def closing(self) -> list[Object]:
        """The events after all pieces."""

    def frame(self, event: Object) -> bytes:
        """An event as the lines of a stream: https://html.spec.whatwg.org/multipage/#event-stream."""
        return b"data: " + orjson.dumps(event) + b"\n\n"

    def done(self) -> bytes:
        """The stream's last bytes, if it did not fail."""
        return b"data: [DONE]\n\n"

    def failure(self, refusal: Refusal) -> bytes:
        """The last event of a stream that fails after it has begun."""
        return b"data: " + refusal.body() + b"\n\n"


def frame_named(event: Object) -> bytes:
    """An event whose type is also the name of the stream's event."""
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), orjson.dumps(event))


@dataclass(kw_only=True)
class Call:
    """A whole call of a function."""

    id: str
    name: str
    arguments: str = ""


@dataclass(kw_only=True)
class Reply:
    """One whole response."""

    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    end: End


def joined(pieces: Iterable[ReplyPiece], choices: Sequence[int]) -> Mapping[int, Reply]:
    """The pieces of each choice as one response, in the order of `choices`."""
    replies = {choice: Reply(end=End(choice, "length")) for choice in choices}
    texts: dict[int, list[str]] = {choice: [] for choice in choices}
    thoughts: dict[int, list[str]] = {choice: [] for choice in choices}
    arguments: dict[tuple[int, int], list[str]] = {}
    for piece in pieces:
        reply = replies[piece.choice]
        match piece:
            case Text(choice, text, logprobs):
                texts[choice].append(text)
                reply.logprobs += logprobs
            case Reasoning(choice, text):
                thoughts[choice].append(text)
            case CallStart(_, _, id, name):
                reply.calls.append(Call(id=id, name=name))
            case CallArguments(choice, call, text):
                arguments.setdefault((choice, call), []).append(text)
            case End():
                reply.end = piece
    for choice, reply in replies.items():
        reply.text, reply.reasoning = "".join(texts[choice]), "".join(thoughts[choice])
        for number, whole in enumerate(reply.calls):
            whole.arguments = "".join(arguments.get((choice, number), ()))
    return replies
