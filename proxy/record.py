"""The record of one request, and its form as a line of PostgreSQL's COPY."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxy.ids import new_request_id

COLUMNS = (
    "id, created_at, username, user_id, key_id, method, path, model, status_code, latency_ms, ttft_ms, "
    "queue_ms, request_bytes, response_bytes, prompt_tokens, completion_tokens, stream, admitted, "
    "admitted_at, count, error"
)
"""Of llama_requests, in the order in which `RequestRecord.line` gives them."""


@dataclass(kw_only=True, slots=True)
class RequestRecord:
    """What is known of one request. Sizes are bytes of bodies without transfer coding."""

    created_at: float
    """Arrival, Unix time."""
    username: str
    user_id: int
    key_id: int
    method: str
    path: str
    id: str = field(default_factory=new_request_id)
    """As `new_request_id` makes it."""
    model: str | None = None
    status_code: int | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    queue_ms: float | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    stream: bool = False
    admitted: bool = False
    admitted_at: float | None = None
    """When it took its place in the rate window, Unix time."""
    count: int = 1
    error: str | None = None
    _begins: str = field(default="", init=False, repr=False, compare=False)
    """What a line begins with, which both have in common."""

    def tokens_charged(self) -> int:
        """What the token window counts: the usage that the engine told.

        For a stream that told none, as one that its client left, an estimate: a token is about four
        bytes of a prompt, and in an answer an event of about 200. The function llama_tokens_charged of
        the database has the same.
        """
        if self.prompt_tokens is not None or self.completion_tokens is not None:
            return (self.prompt_tokens or 0) + (self.completion_tokens or 0)
        if self.stream and self.ttft_ms is not None:
            return self.request_bytes // 4 + self.response_bytes // 200
        return 0

    def line(self, kind: str, *, error: str | None = None, count_digits: int = 1) -> bytes:
        """The record as a line of COPY's text format, before it the line's kind.

        `error` is given for one that has none of its own yet; `count_digits`: how many the count has at
        least, so that it can be written over.
        """
        if not self._begins:
            self._begins = (
                f"{self.id}\t{_time(self.created_at)}\t{_text(self.username)}\t{self.user_id}"
                f"\t{self.key_id}\t{_text(self.method)}\t{_text(self.path)}"
            )
        error = self.error or error
        return (
            f"{kind}\t{self._begins}\t{NULL if self.model is None else _text(self.model)}"
            f"\t{NULL if self.status_code is None else self.status_code}"
            f"\t{NULL if self.latency_ms is None else format(self.latency_ms, '.3f')}"
            f"\t{NULL if self.ttft_ms is None else format(self.ttft_ms, '.3f')}"
            f"\t{NULL if self.queue_ms is None else format(self.queue_ms, '.3f')}"
            f"\t{self.request_bytes}\t{self.response_bytes}"
            f"\t{NULL if self.prompt_tokens is None else self.prompt_tokens}"
            f"\t{NULL if self.completion_tokens is None else self.completion_tokens}"
            f"\t{'t' if self.stream else 'f'}\t{'t' if self.admitted else 'f'}"
            f"\t{NULL if self.admitted_at is None else _time(self.admitted_at)}"
            f"\t{self.count:0{count_digits}d}\t{NULL if error is None else _text(error)}\n"
        ).encode("utf-8", "replace")


NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": ""})
_SECOND = (-1, "")
"""The last second that was asked for, and how it is written."""


def _text(value: str) -> str:
    if value.isprintable() and "\\" not in value:
        return value
    return value.translate(_ESCAPES)


def _time(value: float) -> str:
    global _SECOND  # noqa: PLW0603 - most are of the same second, and writing it out takes a while
    second = int(value)
    if second != _SECOND[0]:
        _SECOND = second, f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
    return f"{_SECOND[1]}.{int((value - second) * 1e6):06d}+00:00"
