"""The record of one request, and its form as a line of PostgreSQL's COPY."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from proxy.records.request_ids import new_request_id

COLUMNS = (
    "id, created_at, username, user_id, key_id, method, path, model, status_code, latency_ms, ttft_ms, "
    "queue_ms, request_bytes, response_bytes, prompt_tokens, completion_tokens, tokens_charged, stream, "
    "admitted, admitted_at, count, error, backend, batch_id"
)
"""The columns of llama_requests, in the order of `RequestRecord.line`."""
COLUMNS_AFTER_COUNT = len(COLUMNS.partition(" count, ")[2].split(", "))


class Answered(Protocol):
    """A response's own information; None where the response does not contain it."""

    def model(self) -> str | None:
        """The model's name."""

    def usage(self) -> tuple[int | None, int | None]:
        """Prompt and completion tokens."""


@dataclass(kw_only=True)
class RequestRecord:
    """The record of one request. Sizes are bytes of bodies without transfer coding."""

    created_at: float
    """Arrival, Unix time."""
    username: str
    user_id: int
    key_id: int
    method: str
    path: str
    id: str = field(default_factory=new_request_id)
    """As `new_request_id` makes it."""
    # Defaults on the class save the time of setting them for each request.
    model: str | None = field(init=False, default=None)
    status_code: int | None = field(init=False, default=None)
    latency_ms: float | None = field(init=False, default=None)
    ttft_ms: float | None = field(init=False, default=None)
    queue_ms: float | None = field(init=False, default=None)
    request_bytes: int = field(init=False, default=0)
    response_bytes: int = field(init=False, default=0)
    prompt_tokens: int | None = field(init=False, default=None)
    completion_tokens: int | None = field(init=False, default=None)
    tokens_charged: int | None = field(init=False, default=None)
    """What the token window counts; None until `count_tokens` has computed it."""
    stream: bool = field(init=False, default=False)
    admitted: bool = field(init=False, default=False)
    admitted_at: float | None = field(init=False, default=None)
    """When it began to count against the rate limit, Unix time."""
    count: int = field(init=False, default=1)
    error: str | None = field(init=False, default=None)
    backend: str | None = field(init=False, default=None)
    """The engine's URL, if there are several."""
    batch_id: str | None = field(init=False, default=None)
    """The batch that it is a line of. Such a request counts in no window, but its tokens in budgets."""
    group_id: int | None = field(init=False, default=None, compare=False)
    """The group that the user belonged to; it is not written."""
    answer: Answered | None = field(init=False, default=None, repr=False, compare=False)
    """Provides model and tokens; None once they have been read."""
    _begins: str = field(init=False, default="", repr=False, compare=False)
    """The columns that its lines begin with, which never change."""

    def count_tokens(self) -> int:
        """Take model and usage from the answer, and compute the tokens charged.

        The first call decides: what has been charged and what the row says are the same number.
        """
        if self.answer is not None:
            self.model = self.answer.model()
            self.prompt_tokens, self.completion_tokens = self.answer.usage()
            self.answer = None
        if self.tokens_charged is None:
            prompt, completion = self.prompt_tokens, self.completion_tokens
            if prompt is not None or completion is not None:
                self.tokens_charged = (prompt or 0) + (completion or 0)
            elif self.stream and self.ttft_ms is not None:
                self.tokens_charged = estimated_tokens(self.request_bytes, self.response_bytes)
            else:
                self.tokens_charged = 0
        return self.tokens_charged

    def counts_for(self, subject: int) -> bool:
        """Whether it counts for a subject: a user's id, or a group's as a negative number."""
        return subject in (self.user_id, -self.group_id if self.group_id is not None else None)

    def but(self, **values: object) -> RequestRecord:
        """A copy with these values."""
        other = copy(self)
        vars(other).update(values, _begins="")
        return other

    def admission_line(self, kind: str) -> bytes:
        """The line of a request that has just been admitted. It becomes the row if no end ever comes."""
        admitted_at = NULL if self.admitted_at is None else timestamp(self.admitted_at)
        batch_id = self.batch_id or NULL
        line = f"{kind}\t{self._beginning()}{_OPEN}{admitted_at}\t1\tinterrupted\t{NULL}\t{batch_id}\n"
        return line.encode("utf-8", "replace")

    def line(self, kind: str, *, count_digits: int = 1) -> bytes:
        """The record as a line of COPY's text format, with the line's kind before it.

        `count_digits`: the least number of digits of the count, so that it can be overwritten in place.
        """
        tokens_charged = self.count_tokens()
        fields = (
            kind,
            self._begins or self._beginning(),
            None if self.model is None else _text(self.model),
            self.status_code,
            None if self.latency_ms is None else f"{self.latency_ms:.3f}",
            None if self.ttft_ms is None else f"{self.ttft_ms:.3f}",
            None if self.queue_ms is None else f"{self.queue_ms:.3f}",
            self.request_bytes,
            self.response_bytes,
            self.prompt_tokens,
            self.completion_tokens,
            tokens_charged,
            self.stream,
            self.admitted,
            None if self.admitted_at is None else timestamp(self.admitted_at),
            f"{self.count:0{count_digits}d}",
            None if self.error is None else _text(self.error),
            None if self.backend is None else _text(self.backend),
            self.batch_id,
        )
        line = "\t".join([NULL if field is None else str(field) for field in fields]) + "\n"
        return line.encode("utf-8", "replace")

    def _beginning(self) -> str:
        if not self._begins:
            self._begins = (
                f"{self.id}\t{timestamp(self.created_at)}\t{_text(self.username)}\t{self.user_id}"
                f"\t{self.key_id}\t{self.method}\t{_text(self.path)}"
            )
        return self._begins


def estimated_tokens(request_bytes: int, response_bytes: int) -> int:
    """Estimate the tokens of a stream that told no usage, such as one that its client left.

    A token is about four bytes of a prompt, and in a response an event of about 200 bytes.
    """
    return request_bytes // 4 + response_bytes // 200


NULL = "\\N"
_OPEN = f"\t{NULL}\t{NULL}\t{NULL}\t{NULL}\t{NULL}\t0\t0\t{NULL}\t{NULL}\t0\tf\tt\t"
"""The columns from `model` to `admitted` of a request that is under way."""
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": ""})


@lru_cache(maxsize=1024)  # a few users, paths and models come again and again
def _text(value: str) -> str:
    if value.isprintable() and "\\" not in value:
        return value
    return value.translate(_ESCAPES)


_FIELDS = 1 + len(COLUMNS.split(", "))
"""The kind of the line and the columns."""
_ADDED_LATER = 2
"""How many columns at the end came after `tokens_charged`, one by one."""
_TTFT, _REQUEST_BYTES, _RESPONSE_BYTES, _PROMPT, _COMPLETION, _STREAM = 11, 13, 14, 15, 16, 17


def in_todays_form(lines: bytes) -> bytes:
    """Lines of spool files that an earlier release left, in today's form.

    A file outlives its process if that was killed, so an update may find lines without columns that are
    new: first came `tokens_charged`, which stands after `completion_tokens`, then those of _ADDED_LATER.
    """
    return b"".join([_upgraded(line) for line in lines.splitlines(keepends=True)])


def _upgraded(line: bytes) -> bytes:
    fields = line.removesuffix(b"\n").split(b"\t")
    missing = _FIELDS - len(fields)
    if missing == 1 + _ADDED_LATER:
        try:
            fields.insert(_STREAM, b"%d" % _charged(fields))
        except ValueError:  # not a record: the database says so too
            return line
    elif not 1 <= missing <= _ADDED_LATER:
        return line
    return b"\t".join(fields + [NULL.encode()] * (_FIELDS - len(fields))) + b"\n"


def _charged(fields: list[bytes]) -> int:
    usage = [int(value) for value in (fields[_PROMPT], fields[_COMPLETION]) if value != NULL.encode()]
    if usage:
        return sum(usage)
    if fields[_STREAM] in (b"True", b"t") and fields[_TTFT] != NULL.encode():
        return estimated_tokens(int(fields[_REQUEST_BYTES]), int(fields[_RESPONSE_BYTES]))
    return 0


_SECOND = (-1, "")
"""The last second and its text: most timestamps that are written share it."""


def timestamp(unix_s: float) -> str:
    """A Unix time in ISO 8601, to the microsecond, as PostgreSQL reads it."""
    global _SECOND  # noqa: PLW0603
    second = int(unix_s)
    if second != _SECOND[0]:
        _SECOND = second, f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
    return f"{_SECOND[1]}.{int((unix_s - second) * 1e6):06d}+00:00"
