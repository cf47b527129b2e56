"""Writes responses of /v1/responses: https://platform.openai.com/docs/api-reference/responses/object.

The order of a stream's events is OpenAI's. What a request contains that may be long (instructions, the
parameters of tools) is not repeated in the response.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.engine.api.pieces import CallArguments, CallStart, End, Reasoning, ReplyPiece, Text
from runtime.engine.api.shapes.response_items import CallItem, Item, MessageItem, ReasoningItem
from runtime.engine.api.shapes.shape import Form, Object, Shape, frame_named
from runtime.engine.api.usage import openai_usage
from runtime.engine.errors import Refusal
from runtime.engine.generation.generation import Generation


@dataclass(frozen=True, kw_only=True)
class Echo:
    """What a response repeats or follows of its request."""

    fields: Mapping[str, Any]
    """Fields that the response has as the request had them."""
    names: Mapping[str, tuple[str, str]]
    """The namespace and name of functions, by the name that the model knows."""
    summarizes: bool
    """Whether reasoning is written as a summary."""
    encrypts: bool
    """Whether reasoning has `encrypted_content`."""


class ResponsesShape(Shape):
    """Writes the response to one request, which has one generation."""

    def __init__(self, generations: Sequence[Generation], form: Form, echo: Echo) -> None:
        self._generations = generations
        self._echo = echo
        sampling = generations[0].sampling
        self._head: Object = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "model": form.model,
            "background": False,
            "instructions": None,
            "previous_response_id": None,
            "service_tier": "default",
            "store": False,
            "truncation": "disabled",
            **echo.fields,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        self._ended: list[Object] = []
        """The items that have been written."""
        self._item: Item | None = None
        self._has_begun = False
        self._n_events = 0
        self._end: End | None = None

    def whole(self, pieces: Sequence[ReplyPiece]) -> Object:
        self._written(pieces)
        self._close()
        return self._response(self._status())

    def chunks(self, pieces: Sequence[ReplyPiece]) -> list[Object]:
        if not pieces:
            return []  # until the first, an error can have a status
        return self._numbered([*self._opening(), *self._written(pieces)])

    def closing(self) -> list[Object]:
        return self._numbered([*self._opening(), *self._close()])

    def frame(self, event: Object) -> bytes:
        return frame_named(event)

    def done(self) -> bytes:
        status = self._status()
        last = {"type": f"response.{status}", "response": self._response(status)}
        return b"".join(map(self.frame, self._numbered([last])))

    def failure(self, refusal: Refusal) -> bytes:
        code = refusal.code or "server_error"
        error = {"code": code, "message": refusal.message}
        told = {"type": "error", **error, "param": refusal.param}
        self._close()
        failed = {"type": "response.failed", "response": {**self._response("failed"), "error": error}}
        return b"".join(map(self.frame, self._numbered([told, failed])))

    def _opening(self) -> list[Object]:
        """The events that come before the first item, once."""
        if self._has_begun:
            return []
        self._has_begun = True
        begun = self._response("in_progress")
        return [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
        ]

    def _written(self, pieces: Sequence[ReplyPiece]) -> list[Object]:
        events: list[Object] = []
        for piece in pieces:
            match piece:
                case Text(_, text, logprobs):
                    if not isinstance(self._item, MessageItem):
                        events += self._open(MessageItem(self._next_index()))
                    assert isinstance(self._item, MessageItem)
                    events.append(self._item.add(text, logprobs))
                case Reasoning(_, text):
                    if not isinstance(self._item, ReasoningItem):
                        events += self._open(self._reasoning())
                    assert isinstance(self._item, ReasoningItem)
                    events.append(self._item.add(text))
                case CallStart():
                    events += self._open(self._call(piece))
                case CallArguments(_, _, text):
                    assert isinstance(self._item, CallItem)
                    events.append(self._item.add(text))
                case End():
                    self._end = piece
        return events

    def _reasoning(self) -> ReasoningItem:
        return ReasoningItem(
            self._next_index(), summarizes=self._echo.summarizes, encrypts=self._echo.encrypts
        )

    def _call(self, start: CallStart) -> CallItem:
        namespace, name = self._echo.names.get(start.name, (None, start.name))
        return CallItem(self._next_index(), start, namespace, name)

    def _next_index(self) -> int:
        return len(self._ended) + (self._item is not None)

    def _open(self, item: Item) -> list[Object]:
        events = self._close("completed")
        self._item = item
        return [*events, *item.begin()]

    def _close(self, status: str = "") -> list[Object]:
        """End the item that is being written."""
        item, self._item = self._item, None
        if item is None:
            return []
        status = status or self._status()
        self._ended.append(item.whole(status))
        return item.end(status)

    def _status(self) -> str:
        return "completed" if self._end and self._end.finish_reason != "length" else "incomplete"

    def _response(self, status: str) -> Object:
        has_ended = status != "in_progress"
        reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            **self._head,
            "status": status,
            "completed_at": int(time.time()) if status == "completed" else None,
            "error": None,
            "incomplete_details": reason,
            "output": list(self._ended),
            "usage": self._usage() if has_ended else None,
        }

    def _usage(self) -> Object:
        usage = openai_usage(self._generations)
        details = usage.get("completion_tokens_details") or {}
        return {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {
                "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
            },
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": details.get("reasoning_tokens", 0)},
            "total_tokens": usage["total_tokens"],
        }

    def _numbered(self, events: list[Object]) -> list[Object]:
        numbered = []
        for event in events:
            numbered.append({**event, "sequence_number": self._n_events})
            self._n_events += 1
        return numbered
