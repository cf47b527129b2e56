"""The record of one request, and its form as a line of PostgreSQL's COPY."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

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
    id: UUID = field(default_factory=new_request_id)
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

    def line(self, kind: str, *, count_digits: int = 1) -> bytes:
        """The record as a line of COPY's text format, before it the line's kind.

        `count_digits`: how many the count has at least, so that it can be written over.
        """
        return (
            "\t".join(
                (
                    kind,
                    self.id.hex,
                    _time(self.created_at),
                    _text(self.username),
                    str(self.user_id),
                    str(self.key_id),
                    _text(self.method),
                    _text(self.path),
                    _text(self.model),
                    _number(self.status_code),
                    _number(self.latency_ms),
                    _number(self.ttft_ms),
                    _number(self.queue_ms),
                    str(self.request_bytes),
                    str(self.response_bytes),
                    _number(self.prompt_tokens),
                    _number(self.completion_tokens),
                    "t" if self.stream else "f",
                    "t" if self.admitted else "f",
                    _time(self.admitted_at),
                    str(self.count).zfill(count_digits),
                    _text(self.error),
                )
            )
            + "\n"
        ).encode("utf-8", "replace")


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": ""})


def _text(value: str | None) -> str:
    return "\\N" if value is None else value.translate(_ESCAPES)


def _time(value: float | None) -> str:
    return "\\N" if value is None else datetime.fromtimestamp(value, UTC).isoformat()


def _number(value: float | None) -> str:
    if value is None:
        return "\\N"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
