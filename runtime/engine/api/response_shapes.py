"""What responses look like: OpenAI's completion and chat completion objects, whole and in chunks.

Sources: https://platform.openai.com/docs/api-reference/chat/object, …/chat/streaming and
…/completions/object. Tool calls are made here too, where a request named the function.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.engine.api.usage import openai_usage
from runtime.engine.generation.channel import Piece, TokenLogprob
from runtime.engine.generation.generation import Generation

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a request asks of its response's form."""

    model: str
    include_usage: bool = False
    """Whether a stream ends with a chunk that contains the usage."""
    call: str | None = None
    """The function whose arguments the response is, where the request named one."""
    legacy_call: bool = False
    """Whether the call has the older form, `function_call`."""


class Shape(Protocol):
    """How one kind of response is written."""

    def whole(self, pieces: Sequence[Piece]) -> Object:
        """The response in one object, from all of its pieces."""

    def chunks(self, piece: Piece) -> list[Object]:
        """The events of a stream that a piece makes."""

    def closing(self) -> list[Object]:
        """The events after all pieces, the closing [DONE] aside."""


class CompletionShape:
    """Writes responses of /v1/completions."""

    def __init__(self, generations: Sequence[Generation], form: Form) -> None:
        self._generations = generations
        self._form = form
        self._head = {**_head("cmpl-", form.model), "object": "text_completion"}
        self._echoes = {one.index: one.prompt.echo for one in generations}
        """Those that have not been given out yet."""
        self._offsets = {
            one.index: 0 if one.prompt.is_scored else len(one.prompt.echo) for one in generations
        }

    def whole(self, pieces: Sequence[Piece]) -> Object:
        choices = [self._choice(one) for one in _joined(pieces, self._generations)]
        return {**self._head, "choices": choices, "usage": openai_usage(self._generations)}

    def chunks(self, piece: Piece) -> list[Object]:
        usage = _usage_field(self._form)
        return [{**self._head, **usage, "choices": [self._choice(piece)]}]

    def closing(self) -> list[Object]:
        return _usage_chunk(self._head, self._form, self._generations)

    def _choice(self, piece: Piece) -> Object:
        logprobs = None
        if self._generations[0].limits.top_logprobs is not None:
            logprobs = self._logprobs(piece)
        return {
            "text": self._echoes.pop(piece.index, "") + piece.text,
            "index": piece.index,
            "logprobs": logprobs,
            "finish_reason": piece.finish_reason,
        }

    def _logprobs(self, piece: Piece) -> Object:
        offsets = []
        for logprob in piece.logprobs:
            offsets.append(self._offsets[piece.index])
            self._offsets[piece.index] += len(_readable(logprob.piece))
        return {
            "tokens": [_readable(logprob.piece) for logprob in piece.logprobs],
            "token_logprobs": [logprob.logprob for logprob in piece.logprobs],
            "top_logprobs": [
                None
                if logprob.logprob is None
                else {_readable(other): value for other, value in logprob.top}
                for logprob in piece.logprobs
            ],
            "text_offset": offsets,
        }


class ChatShape:
    """Writes responses of /v1/chat/completions, with messages of text or calls of one function."""

    def __init__(self, generations: Sequence[Generation], form: Form) -> None:
        self._generations = generations
        self._form = form
        self._head = _head("chatcmpl-", form.model)
        self._call_ids = {one.index: f"call_{uuid.uuid4().hex[:24]}" for one in generations}
        self._begun: set[int] = set()
        """The choices of a stream whose role has been sent."""
        self._called: set[int] = set()
        """The choices whose function name has been sent."""

    def whole(self, pieces: Sequence[Piece]) -> Object:
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [self._choice(one) for one in _joined(pieces, self._generations)],
            "usage": openai_usage(self._generations),
        }

    def _choice(self, piece: Piece) -> Object:
        message: Object = {"role": "assistant", "content": piece.text}
        if self._form.call is not None:
            message = {"role": "assistant", "content": None, **self._call(piece)}
            for call in message.get("tool_calls") or ():
                del call["index"]  # of a stream only
        return {
            "index": piece.index,
            "message": message,
            "logprobs": self._logprobs(piece.logprobs),
            "finish_reason": self._finish(piece.finish_reason or "length"),
        }

    def chunks(self, piece: Piece) -> list[Object]:
        deltas: list[tuple[Object, list[TokenLogprob], str | None]] = []
        if piece.index not in self._begun:
            # With the first piece, not before: until then an error can have a status.
            self._begun.add(piece.index)
            deltas.append(({"role": "assistant"}, [], None))
        if piece.text or piece.logprobs:
            is_call = self._form.call is not None
            delta = self._call(piece) if is_call else {"content": piece.text}
            deltas.append((delta, piece.logprobs, None))
        if piece.finish_reason is not None:
            deltas.append(({}, [], self._finish(piece.finish_reason)))
        head = {**self._head, "object": "chat.completion.chunk", **_usage_field(self._form)}
        return [{**head, "choices": [self._delta(piece.index, *delta)]} for delta in deltas]

    def closing(self) -> list[Object]:
        head = {**self._head, "object": "chat.completion.chunk"}
        return _usage_chunk(head, self._form, self._generations)

    def _delta(
        self, index: int, delta: Object, logprobs: list[TokenLogprob], reason: str | None
    ) -> Object:
        content = self._logprobs(logprobs) if logprobs else None
        return {"index": index, "delta": delta, "logprobs": content, "finish_reason": reason}

    def _call(self, piece: Piece) -> Object:
        """A part of a call's arguments; the first part also names the function."""
        first = piece.index not in self._called
        self._called.add(piece.index)
        name = {"name": self._form.call} if first else {}
        function = {**name, "arguments": piece.text}
        if self._form.legacy_call:
            return {"function_call": function}
        begun = {"id": self._call_ids[piece.index], "type": "function"} if first else {}
        return {"tool_calls": [{"index": 0, **begun, "function": function}]}

    def _finish(self, reason: str) -> str:
        if self._form.call is None or reason == "length":
            return reason
        return "function_call" if self._form.legacy_call else "tool_calls"

    def _logprobs(self, logprobs: list[TokenLogprob]) -> Object | None:
        if self._generations[0].limits.top_logprobs is None:
            return None
        content = [
            {
                **_told(logprob.piece, logprob.logprob),
                "top_logprobs": [_told(piece, value) for piece, value in logprob.top],
            }
            for logprob in logprobs
        ]
        return {"content": content, "refusal": None}


def _joined(pieces: Sequence[Piece], generations: Sequence[Generation]) -> list[Piece]:
    """All pieces of each response as one, in the order of the generations."""
    by_index: dict[int, list[Piece]] = {one.index: [] for one in generations}
    for piece in pieces:
        by_index[piece.index].append(piece)
    return [
        Piece(
            text="".join(piece.text for piece in parts),
            logprobs=[logprob for piece in parts for logprob in piece.logprobs],
            finish_reason=(parts[-1].finish_reason if parts else None) or "length",
            index=index,
        )
        for index, parts in by_index.items()
    ]


def _head(prefix: str, model: str) -> Object:
    return {"id": prefix + uuid.uuid4().hex, "created": int(time.time()), "model": model}


def _usage_field(form: Form) -> Object:
    """Chunks have the field, null but in the last, when the request asked for usage."""
    return {"usage": None} if form.include_usage else {}


def _usage_chunk(head: Object, form: Form, generations: Sequence[Generation]) -> list[Object]:
    if not form.include_usage:
        return []
    return [{**head, "choices": [], "usage": openai_usage(generations)}]


def _told(piece: bytes, logprob: float | None) -> Object:
    return {"token": _readable(piece), "logprob": logprob, "bytes": list(piece)}


def _readable(piece: bytes) -> str:
    """A token that is part of a character is not text: like OpenAI, show its bytes."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)
