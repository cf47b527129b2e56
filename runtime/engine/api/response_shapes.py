"""What answers look like: OpenAI's completion and chat completion objects, whole and in chunks.

Sources: https://platform.openai.com/docs/api-reference/chat/object, …/chat/streaming and
…/completions/object. Tool calls are made here too, where a request named the function.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from runtime.engine.generation.generation import Generation

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """A token and how likely it was: natural logarithms."""

    piece: bytes
    logprob: float
    top: list[tuple[bytes, float]]
    """The likeliest tokens in its place, likeliest first."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some text of an answer, and the tokens that came since the piece before."""

    text: str
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: str | None = None
    """Of the last piece."""


class Shape(Protocol):
    """How one kind of answer is written."""

    def whole(self, pieces: Iterable[Piece]) -> Object:
        """The answer in one object."""

    def chunks(self, pieces: Iterable[Piece]) -> Iterator[Object]:
        """The answer as the events of a stream, the closing [DONE] aside."""


class CompletionShape:
    """Of /v1/completions."""

    def __init__(self, generation: Generation, model: str) -> None:
        self._generation = generation
        self._head = _head("cmpl-", model)
        self._offset = len(generation.prompt.echo)

    def whole(self, pieces: Iterable[Piece]) -> Object:
        every = list(pieces)
        text = self._generation.prompt.echo + "".join(piece.text for piece in every)
        logprobs = [logprob for piece in every for logprob in piece.logprobs]
        choice = self._choice(text, logprobs, _finish_reason(every))
        return {
            **self._head,
            "object": "text_completion",
            "choices": [choice],
            "usage": self._generation.usage,
        }

    def chunks(self, pieces: Iterable[Piece]) -> Iterator[Object]:
        usage = _usage_field(self._generation)
        head = {**self._head, "object": "text_completion", **usage}
        echo = self._generation.prompt.echo
        for piece in pieces:
            choice = self._choice(echo + piece.text, piece.logprobs, piece.finish_reason)
            echo = ""
            yield {**head, "choices": [choice]}
        if usage:
            yield {**head, "choices": [], "usage": self._generation.usage}

    def _choice(self, text: str, logprobs: list[TokenLogprob], finish_reason: str | None) -> Object:
        told = None
        if self._generation.limits.top_logprobs is not None:
            told = self._logprobs(logprobs)
        return {"text": text, "index": 0, "logprobs": told, "finish_reason": finish_reason}

    def _logprobs(self, logprobs: list[TokenLogprob]) -> Object:
        offsets = []
        for logprob in logprobs:
            offsets.append(self._offset)
            self._offset += len(_readable(logprob.piece))
        return {
            "tokens": [_readable(logprob.piece) for logprob in logprobs],
            "token_logprobs": [logprob.logprob for logprob in logprobs],
            "top_logprobs": [
                {_readable(piece): value for piece, value in logprob.top} for logprob in logprobs
            ],
            "text_offset": offsets,
        }


class ChatShape:
    """Of /v1/chat/completions, with a message of text or a call of one function."""

    def __init__(self, generation: Generation, model: str) -> None:
        self._generation = generation
        self._head = _head("chatcmpl-", model)
        self._call_id = f"call_{uuid.uuid4().hex[:24]}"

    def whole(self, pieces: Iterable[Piece]) -> Object:
        every = list(pieces)
        text = "".join(piece.text for piece in every)
        logprobs = [logprob for piece in every for logprob in piece.logprobs]
        message: Object = {"role": "assistant", "content": text}
        if self._generation.call is not None:
            message = {"role": "assistant", "content": None, **self._call(text, first=True)}
            for call in message.get("tool_calls") or ():
                del call["index"]  # of a stream only
        choice = {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(logprobs),
            "finish_reason": self._finish(_finish_reason(every)),
        }
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self._generation.usage,
        }

    def chunks(self, pieces: Iterable[Piece]) -> Iterator[Object]:
        usage = _usage_field(self._generation)
        head = {**self._head, "object": "chat.completion.chunk", **usage}
        called = False
        for number, piece in enumerate(pieces):
            if number == 0:
                # With the first piece, not before: until then an error can have a status.
                yield {**head, "choices": [self._delta({"role": "assistant"}, [], None)]}
            if piece.text or piece.logprobs:
                if self._generation.call is None:
                    delta: Object = {"content": piece.text}
                else:
                    delta = self._call(piece.text, first=not called)
                    called = True
                yield {**head, "choices": [self._delta(delta, piece.logprobs, None)]}
            if piece.finish_reason is not None:
                reason = self._finish(piece.finish_reason)
                yield {**head, "choices": [self._delta({}, [], reason)]}
        if usage:
            yield {**head, "choices": [], "usage": self._generation.usage}

    def _delta(self, delta: Object, logprobs: list[TokenLogprob], finish_reason: str | None) -> Object:
        told = self._logprobs(logprobs) if logprobs else None
        return {"index": 0, "delta": delta, "logprobs": told, "finish_reason": finish_reason}

    def _call(self, arguments: str, *, first: bool) -> Object:
        """A part of a call's arguments; the first tells what is called."""
        name = {"name": self._generation.call} if first else {}
        function = {**name, "arguments": arguments}
        if self._generation.legacy_call:
            return {"function_call": function}
        begun = {"id": self._call_id, "type": "function"} if first else {}
        return {"tool_calls": [{"index": 0, **begun, "function": function}]}

    def _finish(self, reason: str) -> str:
        if self._generation.call is None or reason == "length":
            return reason
        return "function_call" if self._generation.legacy_call else "tool_calls"

    def _logprobs(self, logprobs: list[TokenLogprob]) -> Object | None:
        if self._generation.limits.top_logprobs is None:
            return None
        content = [
            {
                **_told(logprob.piece, logprob.logprob),
                "top_logprobs": [_told(piece, value) for piece, value in logprob.top],
            }
            for logprob in logprobs
        ]
        return {"content": content, "refusal": None}


def _head(prefix: str, model: str) -> Object:
    return {"id": prefix + uuid.uuid4().hex, "created": int(time.time()), "model": model}


def _usage_field(generation: Generation) -> Object:
    """Chunks have the field, null but in the last, when the request asked for usage."""
    return {"usage": None} if generation.include_usage else {}


def _finish_reason(pieces: list[Piece]) -> str:
    return (pieces[-1].finish_reason if pieces else None) or "length"


def _told(piece: bytes, logprob: float) -> Object:
    return {"token": _readable(piece), "logprob": logprob, "bytes": list(piece)}


def _readable(piece: bytes) -> str:
    """A token that is part of a character is not text: like OpenAI, show its bytes."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)
