"""What every layer round the engine's app uses: the ASGI types, the reading of a request, the sending
of our own responses.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from runtime.engine import errors
from runtime.engine.errors import Refusal

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientLeftError(Exception):
    """The client closed its connection before it had sent all of its request."""


async def read_body(receive: Receive, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        Refusal: 413 when it is longer than `limit_bytes`.
        ClientLeftError: the client left before its end.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientLeftError
        body += message.get("body", b"")
        if len(body) > limit_bytes:
            raise errors.body_too_large(limit_bytes)
        if not message.get("more_body", False):
            return bytes(body)


def header(scope: Scope, name: bytes) -> str | None:
    """A request's header by its lower-case name; None where it is absent or stands more than once."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else None


async def send_bytes(
    send: Send, status: int, content: bytes, headers: list[tuple[bytes, bytes]], *, kind: bytes
) -> None:
    """Answer a request with ready bytes of the media type `kind`."""
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(content)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def send_json(send: Send, status: int, body: object) -> None:
    """Answer a request with a JSON body."""
    content = json.dumps(body, separators=(",", ":")).encode()
    await send_bytes(send, status, content, [], kind=b"application/json")


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Answer a request with an error."""
    await send_bytes(send, refusal.status, refusal.body(), refusal.headers(), kind=b"application/json")
