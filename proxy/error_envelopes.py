"""An error, and the forms in which clients of the several dialects read it.

OpenAI's envelope everywhere (https://platform.openai.com/docs/guides/error-codes), but for the paths of
Anthropic's API, which have Anthropic's (https://docs.anthropic.com/en/api/errors), and for streams of
`/v1/responses`, whose events have a type. The texts are in `errors.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
_BELOW_MESSAGES = MESSAGES + "/"

_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_SERVER_ERROR = 500


class ApiError(Exception):
    """A response other than success. `error` is the short name in the request's record."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type_: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type_
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    @property
    def error(self) -> str:
        return self.code or self.type

    def body(self, path: str = "", request_id: str = "") -> bytes:
        """The response's body, as the clients of this path read it. `request_id` begins with req_."""
        if is_anthropic(path):
            return json.dumps(self._anthropic(request_id)).encode()
        return json.dumps({"error": self._openai()}).encode()

    def event(self, path: str = "", request_id: str = "", *, number: int = 0) -> bytes:
        """The error as an event of a stream that has begun. The dialects' own clients raise it.

        `number`: how many events have been sent before, for the dialect that counts them.
        """
        if is_anthropic(path):
            return b"event: error\ndata: " + self.body(path, request_id) + b"\n\n"
        if path == RESPONSES:
            fields = self._openai()
            event = {**fields, "type": "error", "sequence_number": number, "error": fields}
            return b"event: error\ndata: " + json.dumps(event).encode() + b"\n\n"
        return b"data: " + self.body() + b"\n\n"

    def _openai(self) -> dict[str, Any]:
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def _anthropic(self, request_id: str) -> dict[str, Any]:
        default = "api_error" if self.status >= _SERVER_ERROR else "invalid_request_error"
        kind = _ANTHROPIC_TYPES.get(self.status, default)
        error = {"type": kind, "message": self.message}
        return {"type": "error", "error": error, "request_id": request_id or None}


def is_anthropic(path: str) -> bool:
    """Whether a path belongs to Anthropic's API."""
    return path == MESSAGES or path.startswith(_BELOW_MESSAGES)


def retry_headers(seconds: float) -> dict[str, str]:
    """`retry-after` in whole seconds, never 0 (the openai client ignores 0), and in milliseconds."""
    return {
        "retry-after": str(max(1, math.ceil(seconds))),
        "retry-after-ms": str(max(1, math.ceil(seconds * 1000))),
    }


@lru_cache(maxsize=256)  # an admitted request's window is always free again after all of it
def duration(seconds: float) -> str:
    """A time as in OpenAI's headers (Go's form), rounded up: 12ms, 1s, 1.5s, 6m0s, 1h0m0s."""
    ms = max(0, math.ceil(seconds * 1000 - 1e-6))
    if ms < 1000:
        return f"{ms}ms"
    minutes, rest = divmod(ms, 60_000)
    text = f"{rest / 1000:g}s"
    if not minutes:
        return text
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
