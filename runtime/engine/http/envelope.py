"""Writes errors on Anthropic's paths in Anthropic's envelope, wherever they come from."""

from __future__ import annotations

import orjson

from runtime.engine.errors import anthropic_body
from runtime.engine.http.asgi import Message, Send

_MESSAGES = "/v1/messages"


def is_anthropic(path: str) -> bool:
    """Whether a path belongs to Anthropic's API."""
    return path == _MESSAGES or path.startswith(f"{_MESSAGES}/")


class AnthropicEnvelope:
    """Sends a response, and turns errors in OpenAI's envelope into Anthropic's.

    Args:
        send: the request's.
        request_id: part of the envelope.
    """

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self._start: Message | None = None
        """The beginning of an error, until its body is there."""

    async def send(self, message: Message) -> None:
        """Send an ASGI message. An error's body comes in one."""
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            body = self._body(start["status"], message["body"])
            headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
            headers.append((b"content-length", str(len(body)).encode()))
            await self._send({**start, "headers": headers})
            message = {**message, "body": body}
        await self._send(message)

    def _body(self, status: int, body: bytes) -> bytes:
        error = orjson.loads(body)["error"]
        return anthropic_body(status, error["message"], error["code"], request_id=self._request_id)
