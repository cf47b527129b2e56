"""Lets pages of the configured origins call the engine: preflight requests, headers of all responses."""

from __future__ import annotations

from starlette.datastructures import Headers

from runtime.config import Origins, is_preflight
from runtime.engine import errors
from runtime.engine.http.asgi import App, Message, Receive, Scope, Send, send_refusal


class CrossOrigin:
    """The layer round every response, errors and /health among them."""

    def __init__(self, app: App, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = Headers(scope=scope)
        if is_preflight(scope["method"], sent):
            await self._answer_preflight(sent, send)
            return
        lines = _encoded(self._origins.headers(sent.get("Origin", "")))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *lines]}
            await send(message)

        await self._app(scope, receive, send_with_headers if lines else send)

    async def _answer_preflight(self, sent: Headers, send: Send) -> None:
        allowed = self._origins.preflight(sent)
        if allowed is None:
            await send_refusal(send, errors.origin_not_allowed())
            return
        await send({"type": "http.response.start", "status": 204, "headers": _encoded(allowed)})
        await send({"type": "http.response.body", "body": b""})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
