"""A fake engine, for what a real one does not do on command: stall, drop, answer instantly.

Whatever a real llama_cpp.server can show is tested with a real one.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "fake.gguf",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}


def events(*contents: str) -> list[bytes]:
    """A chat stream as llama_cpp.server writes it: one event for each piece of text, then [DONE]."""
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant"}, None)]
    deltas += [({"content": content}, None) for content in contents]
    deltas += [({}, "stop")]
    chunks = [
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "fake.gguf",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        for delta, reason in deltas
    ]
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


@dataclass(kw_only=True)
class Received:
    """A request as the engine received it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeUpstream:
    """Answers with `behaviour`; set it to change what the next requests get."""

    url: str = ""
    behaviour: Behaviour | None = None
    received: list[Received] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the proxy has closed a connection during a request."""
    ready: bool = True
    """The status of /health."""
    checked_in_vain: int = 0
    health_checks: int = 0
    """How often /health was asked for."""
    slots: int | None = None
    """What /health tells, as our own engine does; None: nothing, as others do."""
    embedding_slots: int = 0
    """What /health tells beside them."""
    model: str | None = None
    """What it tells beside them too."""
    usage: dict[str, int] | None = None
    """What /internal/usage/<id> tells of any request; None: nothing is known."""
    asked: list[str] = field(default_factory=list)
    """The ids that it was asked for."""
    settle: asyncio.Event | None = None
    """What it waits for before it tells."""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to let `hold` answer."""
    running: int = 0
    most: int = 0
    """The largest number of requests at a time."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/health":
            self.health_checks += 1
            self.checked_in_vain += not self.ready
            if self.slots is not None and self.ready:
                slots = {"slots": self.slots, "embedding_slots": self.embedding_slots}
                return web.json_response({"status": "ok", "model": self.model, **slots})
            return web.Response(status=200 if self.ready else 503)
        if request.path.startswith("/internal/usage/"):
            return await self._tell_usage(request)
        if request.path.startswith("/internal/validate/") and not self._is_custom():
            return web.json_response({})  # a request that waits is checked; it is not one itself
        body = await request.read()
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self._answer(request, body)
        finally:
            self.running -= 1

    def _is_custom(self) -> bool:
        return self.behaviour is not None and getattr(self.behaviour, "__self__", None) is not self

    async def _tell_usage(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer engine-key"
        self.asked.append(request.path.rpartition("/")[2])
        if self.settle is not None:
            await self.settle.wait()
        return web.Response(status=404) if self.usage is None else web.json_response(self.usage)

    async def _answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        self.received.append(
            Received(
                method=request.method,
                path=request.raw_path,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=body,
            )
        )
        try:
            if self.behaviour is not None:
                return await self.behaviour(request)
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise
        return web.json_response(CHAT)

    async def hold(self, _: web.Request) -> web.StreamResponse:
        """Answer when `go_on` is set."""
        await self.go_on.wait()
        return web.json_response(CHAT)

    async def as_asked(self, request: web.Request) -> web.StreamResponse:
        """Send a stream if the request asks for one, else a whole response."""
        if b'"stream": true' in self.received[-1].body:
            return await self.stream(request)
        return web.json_response(CHAT)

    async def stall(self, _: web.Request) -> web.StreamResponse:
        """Accept a request and never answer."""
        await asyncio.Event().wait()
        raise AssertionError

    async def stream_and_stall(self, request: web.Request) -> web.StreamResponse:
        """Begin a stream and never end it."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        await response.write(events("one")[0])
        await response.write(events("one")[1])
        await asyncio.Event().wait()
        return response

    async def stream_and_drop(self, request: web.Request) -> web.StreamResponse:
        """Close the connection in the middle of a stream."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        await response.write(events("one")[1])
        await drop(request)
        return response

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send a complete stream, one event at a time."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for event in events("one", "two"):
            await response.write(event)
        await response.write_eof()
        return response


async def drop(request: web.Request) -> None:
    """Close the connection without a response."""
    assert request.transport is not None
    await asyncio.sleep(0)
    request.transport.abort()


@asynccontextmanager
async def fake_upstream(
    port: int = 0, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FakeUpstream]:
    """Run a fake engine for as long as the context lasts, on a free port unless one is given."""
    upstream = FakeUpstream()
    app = web.Application(client_max_size=2**28)
    app.router.add_route("*", "/{path:.*}", upstream.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    upstream.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield upstream
    finally:
        await runner.cleanup()
