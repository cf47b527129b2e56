"""Finds a response's model name and token usage without parsing the whole response.

The handler passes bytes on; this looks at copies of their beginning and end. Both fields can be found
in the text: within a JSON string every quote is escaped, so `"usage":` cannot come from what a model
said; nor can an SSE comment, which begins a line.

Our own engine tells the usage in three ways: in a header of whole responses, in a comment of streams
once the prompt has been evaluated, and in another at the stream's end. It can be asked too, for a
request that was broken off (`Relay.usage_of`).
"""

from __future__ import annotations

import re

import orjson

HEAD_BYTES = 1024
TAIL_BYTES = 4096
MAX_TOKENS = 2**53
"""Larger values are treated as invalid."""

_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.){1,300}")')
_OBJECT = rb"\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})"
# In a JSON body or an SSE chunk `"usage": {…}`; from our engine, when asked, the comment `: usage {…}`.
_USAGE = re.compile(rb'(?:"usage"\s*:|^: usage)' + _OBJECT, re.MULTILINE)
_FIRST_COMMENT = re.compile(rb"^: usage" + _OBJECT, re.MULTILINE)
_FIRST_EVENT = re.compile(rb"^data:", re.MULTILINE)
_EVENT = b"\ndata:"
_DELTA = b"delta" + _EVENT
"""Where events have names: one that brings about a token. Others tell that something begins or ends."""
SEAM_BYTES = len(_DELTA) - 1
_FIRST_SEAM = b"\n".rjust(SEAM_BYTES)
"""As if a line had ended."""
_NEW_EVENTS_FROM = SEAM_BYTES - len(_EVENT) + 1
"""Events that begin before this place in a seam have been counted."""
_NAME = re.compile(rb"^event:", re.MULTILINE)

_ENDS = tuple(
    last + blank_line
    for last in (b"data: [DONE]", b'data: {"type":"message_stop"}', b'data: {"type": "message_stop"}')
    for blank_line in (b"\n\n", b"\r\n\r\n")
)

Usage = tuple[int | None, int | None]
"""Prompt and completion tokens; None where the response does not say."""
_UNKNOWN: Usage = (None, None)
_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")


class UsageScanner:
    """Scans the pieces of one response as they are forwarded."""

    __slots__ = ("_deltas", "_head", "_seam", "_size", "_tail", "done", "events", "header", "settled")

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._size = 0
        self._seam = _FIRST_SEAM
        """The end of what has come, SEAM_BYTES: a mark may go on in the next piece."""
        self._deltas = 0
        self.done = False
        """Whether a stream has come to its end: `data: [DONE]`, or Anthropic's last event."""
        self.events = 0
        """How many have come, without comments. One that broke off counts."""
        self.header = b""
        """The value of the engine's header X-Llamaserve-Usage, if it sent one."""
        self.settled: Usage | None = None
        """The usage that the engine reported when asked. It takes precedence over everything else."""

    def feed(self, piece: bytes) -> None:
        """Look at a piece; keeps a bounded copy of the response's beginning and end."""
        size = len(piece)
        if self._size < HEAD_BYTES:
            self._head = (self._head + piece)[:HEAD_BYTES]
        joined = self._seam + piece
        self.events += joined.count(_EVENT, _NEW_EVENTS_FROM)
        self._deltas += joined.count(_DELTA)
        self._seam = joined[-SEAM_BYTES:]
        self._tail = (self._tail + piece if size < TAIL_BYTES else piece)[-TAIL_BYTES:]
        self._size += size
        self.done = self._tail.endswith(_ENDS)

    def rest_of_event(self) -> bytes:
        """The bytes that complete an event in which a stream broke off; usually none."""
        return b"" if not self._tail or self._tail.endswith((b"\n\n", b"\r\n\r\n")) else b"\n\n"

    def model(self) -> str | None:
        """The model that answered, None where the response does not say."""
        at = self._head.find(b'"model"')
        match = _MODEL.search(self._head, at) if at >= 0 else None
        if match is None:
            return None
        try:
            return str(orjson.loads(match[1]))
        except ValueError:
            return None

    def usage(self) -> Usage:
        """Prompt and completion tokens.

        Of a stream that broke off after its prompt was evaluated: the prompt's tokens as the engine told
        them, and one token for each event that may have brought one.
        """
        final = self.final_usage()
        if final is not None:
            return final
        at, usage = self._first_comment()
        if at < 0:
            return _UNKNOWN
        return usage[0], self._deltas if _NAME.search(self._head) else self.events

    def final_usage(self) -> Usage | None:
        """What the request used in all, None as long as it is not known."""
        if self.settled is not None:
            return self.settled
        if self.header:
            return parse_usage(self.header)
        tail = self._tail
        at = tail.rfind(b"usage")
        while at >= 0:
            match = _USAGE.match(tail, at - 1) or _USAGE.match(tail, at - 2)
            usage = parse_usage(match[1]) if match is not None else None
            if match is not None and usage is not None and not self._is_early(match):
                before = self._size - len(tail)
                if match[0][:1] == b":" and before + match.start() == self._first_comment()[0]:
                    return None
                return self._with_prompt(usage) if usage[0] is None else usage
            at = tail.rfind(b"usage", 0, at)
        return None

    def _with_prompt(self, usage: Usage) -> Usage:
        """A final usage without the prompt's tokens: Anthropic's first event tells them alone."""
        first = _USAGE.search(self._head)
        begun = None if first is None else parse_usage(first[1])
        return usage if begun is None else (begun[0], usage[1])

    def _is_early(self, match: re.Match[bytes]) -> bool:
        """Whether a usage is that of Anthropic's first event, which knows only the prompt's tokens."""
        if b'"message_start"' not in self._head:
            return False
        tail = self._tail
        line_at = tail.rfind(b"\n", 0, match.start()) + 1
        if b'"message_start"' in tail[line_at : match.start()]:
            return True
        # The first event is cut off in the tail. After a final usage comes one more event at most.
        return line_at == 0 and tail.count(b"\nevent:", match.end()) > 1

    def _first_comment(self) -> tuple[int, Usage]:
        """Where the comment before the first event begins, and what it tells; -1 if there is none."""
        comment = _FIRST_COMMENT.search(self._head)
        if comment is None:
            return -1, _UNKNOWN
        event = _FIRST_EVENT.search(self._head)
        usage = parse_usage(comment[1])
        if usage is None or (event is not None and event.start() < comment.start()):
            return -1, _UNKNOWN
        return comment.start(), usage


def parse_usage(text: bytes) -> Usage | None:
    """The tokens in a JSON object with the fields of `usage`; None if it is no JSON object.

    Its fields have OpenAI's older names, those of /v1/responses, or Anthropic's, which do not count the
    cached part of a prompt as input.
    """
    try:
        fields = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    prompt = _count(fields, "prompt_tokens")
    if prompt is None and (prompt := _count(fields, "input_tokens")) is not None:
        prompt += sum(_count(fields, name) or 0 for name in _CACHED)
    completion = _count(fields, "completion_tokens")
    return prompt, _count(fields, "output_tokens") if completion is None else completion


def _count(usage: dict[str, object], name: str) -> int | None:
    value = usage.get(name)
    return value if type(value) is int and 0 <= value < MAX_TOKENS else None
