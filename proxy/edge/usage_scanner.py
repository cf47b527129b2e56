"""What an answer says of itself: the model's name and the tokens used, without parsing the whole.

The relay passes bytes on; this looks at copies of their beginning and end. Both fields can be told
from text: within a JSON string every quote is escaped, so `"usage":` cannot come from what a model
said.
"""

from __future__ import annotations

import re

import orjson

HEAD_BYTES = 1024
TAIL_BYTES = 4096
MAX_TOKENS = 2**53
"""More is no count."""

_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.){1,300}")')
# In a JSON body or an SSE chunk `"usage": {…}`; from our engine, when asked, the comment `: usage {…}`.
_USAGE = re.compile(rb'(?:"usage"\s*:|^: usage)\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})', re.MULTILINE)


class UsageScanner:
    """Sees the chunks of one answer pass by."""

    __slots__ = ("_head", "_tail")

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """Look at a chunk; keeps a bounded copy of the answer's beginning and end."""
        head = self._head
        if len(head) < HEAD_BYTES:
            self._head = (head + chunk)[:HEAD_BYTES]
        self._tail = (self._tail + chunk if len(chunk) < TAIL_BYTES else chunk)[-TAIL_BYTES:]

    def saw_done(self) -> bool:
        """Whether a stream has come to its `data: [DONE]`, the blank line after it included."""
        return self._tail.endswith((b"data: [DONE]\n\n", b"data: [DONE]\r\n\r\n"))

    def rest_of_event(self) -> bytes:
        """What ends the event that a stream broke off in, so that another may follow; mostly nothing."""
        return b"" if not self._tail or self._tail.endswith((b"\n\n", b"\r\n\r\n")) else b"\n\n"

    def model(self) -> str | None:
        """The model that answered, None where the answer does not say."""
        at = self._head.find(b'"model"')
        match = _MODEL.search(self._head, at) if at >= 0 else None
        if match is None:
            return None
        try:
            return str(orjson.loads(match[1]))
        except ValueError:
            return None

    def usage(self) -> tuple[int | None, int | None]:
        """Prompt and completion tokens, None where the answer does not say."""
        tail = self._tail
        at = tail.rfind(b"usage")
        while at >= 0:
            match = _USAGE.match(tail, at - 1) or _USAGE.match(tail, at - 2)
            try:
                usage = orjson.loads(match[1]) if match else None
            except ValueError:
                usage = None
            if usage is not None:
                return _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
            at = tail.rfind(b"usage", 0, at)
        return None, None


def _count(usage: dict[str, object], name: str) -> int | None:
    value = usage.get(name)
    return value if type(value) is int and 0 <= value < MAX_TOKENS else None
