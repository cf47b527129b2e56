"""What every layer round the engine's app uses: the ASGI types and the engine's own answers.

Errors have OpenAI's envelope: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(kw_only=True)  # not frozen: Python sets a raised exception's __traceback__
class Refusal(Exception):
    """A request that is answered with an error. `retry_after_s` becomes a Retry-After header."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    retry_after_s: int | None = None


async def send_json(send: Send, status: int, body: object, *, retry_after_s: int | None = None) -> None:
    """Answer a request."""
    content = json.dumps(body, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Answer a request with an error."""
    error = {
        "message": refusal.message,
        "type": refusal.type,
        "param": refusal.param,
        "code": refusal.code,
    }
    await send_json(send, refusal.status, {"error": error}, retry_after_s=refusal.retry_after_s)
