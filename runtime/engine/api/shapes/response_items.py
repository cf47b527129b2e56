"""The output items of /v1/responses and the events of a stream that write them.

https://platform.openai.com/docs/api-reference/responses-streaming. An item gives its events without
their sequence numbers.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from typing import Any, Protocol

from runtime.engine.api.pieces import CallStart
from runtime.engine.api.shapes.openai import readable
from runtime.engine.generation.channel import TokenLogprob

Object = dict[str, Any]


class Item(Protocol):
    """An item that is being written. `index` is its place in the output."""

    def begin(self) -> list[Object]:
        """Its first events."""

    def end(self, status: str) -> list[Object]:
        """Its last events; `status` is completed or incomplete."""

    def whole(self, status: str) -> Object:
        """The item as it is so far."""


class MessageItem:
    """A text."""

    def __init__(self, index: int) -> None:
        self._id = f"msg_{uuid.uuid4().hex}"
        self._index = index
        self._place = {"item_id": self._id, "output_index": index, "content_index": 0}
        self._texts: list[str] = []
        self._logprobs: list[Object] = []

    def begin(self) -> list[Object]:
        item = {**self.whole("in_progress"), "content": []}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return [
            {"type": "response.output_item.added", "output_index": self._index, "item": item},
            {"type": "response.content_part.added", **self._place, "part": part},
        ]

    def add(self, text: str, logprobs: Sequence[TokenLogprob]) -> Object:
        """The event of some more text."""
        self._texts.append(text)
        new = [_logprob(one) for one in logprobs]
        self._logprobs += new
        return {
            "type": "response.output_text.delta",
            **self._place,
            "delta": text,
            "logprobs": new,
        }

    def end(self, status: str) -> list[Object]:
        item = self.whole(status)
        (part,) = item["content"]
        done = {"text": part["text"], "logprobs": part["logprobs"]}
        return [
            {"type": "response.output_text.done", **self._place, **done},
            {"type": "response.content_part.done", **self._place, "part": part},
            {"type": "response.output_item.done", "output_index": self._index, "item": item},
        ]

    def whole(self, status: str) -> Object:
        part = {
            "type": "output_text",
            "text": "".join(self._texts),
            "annotations": [],
            "logprobs": self._logprobs,
        }
        return {
            "id": self._id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [part],
        }


class ReasoningItem:
    """What the model thought: as a summary where the request asks for one, else as content.

    Args:
        index: its place in the output.
        summarizes: whether it is a summary.
        encrypts: whether `encrypted_content` holds the text too, for clients that send back only that.
    """

    def __init__(self, index: int, *, summarizes: bool, encrypts: bool) -> None:
        self._id = f"rs_{uuid.uuid4().hex}"
        self._index = index
        self._summarizes = summarizes
        self._encrypts = encrypts
        self._texts: list[str] = []
        number = "summary_index" if summarizes else "content_index"
        self._place = {"item_id": self._id, "output_index": index, number: 0}
        self._part_name = "reasoning_summary_part" if summarizes else "content_part"
        self._text_name = "reasoning_summary_text" if summarizes else "reasoning_text"

    def begin(self) -> list[Object]:
        item = {"id": self._id, "type": "reasoning", "summary": [], "status": "in_progress"}
        return [
            {"type": "response.output_item.added", "output_index": self._index, "item": item},
            {
                "type": f"response.{self._part_name}.added",
                **self._place,
                "part": self._part(""),
            },
        ]

    def add(self, text: str) -> Object:
        """The event of some more text."""
        self._texts.append(text)
        return {"type": f"response.{self._text_name}.delta", **self._place, "delta": text}

    def end(self, status: str) -> list[Object]:
        text = "".join(self._texts)
        return [
            {"type": f"response.{self._text_name}.done", **self._place, "text": text},
            {"type": f"response.{self._part_name}.done", **self._place, "part": self._part(text)},
            {
                "type": "response.output_item.done",
                "output_index": self._index,
                "item": self.whole(status),
            },
        ]

    def whole(self, status: str) -> Object:
        text = "".join(self._texts)
        parts = [self._part(text)]
        item: Object = {"id": self._id, "type": "reasoning", "summary": [], "status": status}
        item["summary" if self._summarizes else "content"] = parts
        if self._encrypts:
            item["encrypted_content"] = encode_reasoning(text)
        return item

    def _part(self, text: str) -> Object:
        return {"type": "summary_text" if self._summarizes else "reasoning_text", "text": text}


class CallItem:
    """A call of a function. `namespace` and `name` are the client's."""

    def __init__(self, index: int, start: CallStart, namespace: str | None, name: str) -> None:
        self._id = f"fc_{uuid.uuid4().hex}"
        self._index = index
        self._place = {"item_id": self._id, "output_index": index}
        self._call_id = start.id
        self._name: Object = {"name": name, **({"namespace": namespace} if namespace else {})}
        self._arguments: list[str] = []

    def begin(self) -> list[Object]:
        return [
            {
                "type": "response.output_item.added",
                "output_index": self._index,
                "item": self.whole("in_progress"),
            }
        ]

    def add(self, text: str) -> Object:
        """The event of some more arguments."""
        self._arguments.append(text)
        return {"type": "response.function_call_arguments.delta", **self._place, "delta": text}

    def end(self, status: str) -> list[Object]:
        item = self.whole(status)
        return [
            {
                "type": "response.function_call_arguments.done",
                **self._place,
                "name": item["name"],
                "arguments": item["arguments"],
            },
            {"type": "response.output_item.done", "output_index": self._index, "item": item},
        ]

    def whole(self, status: str) -> Object:
        return {
            "id": self._id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            **self._name,
            "arguments": "".join(self._arguments),
        }


def encode_reasoning(text: str) -> str:
    """What `encrypted_content` holds: the text itself, which its reader has anyway."""
    return base64.b64encode(text.encode()).decode()


def _logprob(token: TokenLogprob) -> Object:
    top = [_described(piece, value) for piece, value in token.top]
    return {**_described(token.piece, token.logprob), "top_logprobs": top}


def _described(piece: bytes, logprob: float | None) -> Object:
    return {"token": readable(piece), "logprob": logprob, "bytes": list(piece)}
