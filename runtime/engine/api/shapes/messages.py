"""Writes responses of /v1/messages.

Sources: https://docs.anthropic.com/en/api/messages and …/messages-streaming.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from runtime.engine.api.pieces import CallArguments, CallStart, End, Reasoning, ReplyPiece, Text
from runtime.engine.api.shapes.shape import Call, Form, Object, Shape, frame_named, joined
from runtime.engine.api.usage import openai_usage
from runtime.engine.errors import Refusal, anthropic_body
from runtime.engine.generation.generation import Generation

_SIGNATURE = "unsigned"
"""Clients send a thinking block back only with a signature. Ours are not checked."""
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


class MessagesShape(Shape):
    """Writes the message that answers one request, which has one generation.

    Args:
        generations: only one.
        form: of the request.
        stops: the request's own stop sequences.
    """

    def __init__(self, generations: Sequence[Generation], form: Form, stops: Sequence[str]) -> None:
        self._generations = generations
        self._stops = stops
        self._head: Object = {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": form.model,
        }
        self._has_begun = False
        self._kind: str | None = None
        """The type of the block that is being written."""
        self._index = -1
        """The number of that block."""
        self._end = End(generations[0].index, "length")

    def whole(self, pieces: Sequence[ReplyPiece]) -> Object:
        reply = joined(pieces, [self._generations[0].index])[self._generations[0].index]
        content: list[Object] = []
        if reply.reasoning:
            content.append({"type": "thinking", "thinking": reply.reasoning, "signature": _SIGNATURE})
        if reply.text or not reply.calls:
            content.append({"type": "text", "text": reply.text})
        content += map(_tool_use, reply.calls)
        return {**self._head, "content": content, **self._stop(reply.end), "usage": self._usage()}

    def chunks(self, pieces: Sequence[ReplyPiece]) -> list[Object]:
        if not pieces:
            return []  # until the first, an error can have a status
        return [*self._opening(), *(event for piece in pieces for event in self._events(piece))]

    def closing(self) -> list[Object]:
        usage = self._usage()
        return [
            *self._opening(),
            *self._close(),
            {"type": "message_delta", "delta": self._stop(self._end), "usage": usage},
        ]

    def frame(self, event: Object) -> bytes:
        return frame_named(event)

    def done(self) -> bytes:
        return self.frame({"type": "message_stop"})

    def failure(self, refusal: Refusal) -> bytes:
        return b"event: error\ndata: " + _error(refusal) + b"\n\n"

    def _opening(self) -> list[Object]:
        """The events that come before the first block, once."""
        if self._has_begun:
            return []
        self._has_begun = True
        message = {
            **self._head,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**self._usage(), "output_tokens": 0},
        }
        return [{"type": "message_start", "message": message}, {"type": "ping"}]

    def _events(self, piece: ReplyPiece) -> list[Object]:
        match piece:
            case Text(_, text):
                return self._delta("text", {"text": ""}, {"type": "text_delta", "text": text})
            case Reasoning(_, text):
                empty = {"thinking": "", "signature": ""}
                return self._delta("thinking", empty, {"type": "thinking_delta", "thinking": text})
            case CallStart(_, _, call_id, name):
                return self._open("tool_use", {"id": _tool_id(call_id), "name": name, "input": {}})
            case CallArguments(_, _, text):
                return [self._changed({"type": "input_json_delta", "partial_json": text})]
            case End():
                self._end = piece
                return []

    def _delta(self, kind: str, empty: Object, delta: Object) -> list[Object]:
        opened = [] if self._kind == kind else self._open(kind, empty)
        return [*opened, self._changed(delta)]

    def _changed(self, delta: Object) -> Object:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _open(self, kind: str, fields: Object) -> list[Object]:
        closed = self._close()
        self._kind = kind
        self._index += 1
        block = {"type": kind, **fields}
        return [*closed, {"type": "content_block_start", "index": self._index, "content_block": block}]

    def _close(self) -> list[Object]:
        kind, self._kind = self._kind, None
        if kind is None:
            return []
        events = []
        if kind == "thinking":
            events.append(self._changed({"type": "signature_delta", "signature": _SIGNATURE}))
        return [*events, {"type": "content_block_stop", "index": self._index}]

    def _stop(self, end: End) -> Object:
        if end.stop in self._stops:  # a chat template may have others
            return {"stop_reason": "stop_sequence", "stop_sequence": end.stop}
        return {"stop_reason": _STOP_REASONS[end.finish_reason], "stop_sequence": None}

    def _usage(self) -> Object:
        """Anthropic counts the tokens that were reused apart from the others."""
        usage = openai_usage(self._generations)
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        return {
            "input_tokens": usage["prompt_tokens"] - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": usage["completion_tokens"],
        }


def _error(refusal: Refusal) -> bytes:
    return anthropic_body(refusal.status, refusal.message, refusal.code)


def _tool_use(call: Call) -> Object:
    return {
        "type": "tool_use",
        "id": _tool_id(call.id),
        "name": call.name,
        "input": _arguments(call.arguments),
    }


def _tool_id(call_id: str) -> str:
    """A call's id in Anthropic's form."""
    return f"toolu_{call_id.removeprefix('call_')}"


def _arguments(text: str) -> dict[str, Any]:
    """A call's arguments; none where max_tokens has cut them off."""
    try:
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return arguments if isinstance(arguments, dict) else {}
