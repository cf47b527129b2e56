"""One generating request's way to the stock app, and the answer's way back.

The stock app answers into a buffer here, from which the client is served: a client that reads slowly,
or not at all, does not hold the model. Owns what the client sees when something goes wrong: a status
as long as nothing has been sent, an error event after that.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import anyio

from runtime.engine import errors
from runtime.engine.errors import Refusal
from runtime.engine.generation.generation import End, Generation, current
from runtime.engine.http.asgi import App, Message, Receive, Scope, Send, send_refusal

logger = logging.getLogger(__name__)

Prepare = Callable[[], Awaitable[tuple[Generation, dict[str, Any]]]]

_DONE = b"data: [DONE]\n\n"
_NOT_TO_STOCK = frozenset(
    (
        b"x-request-id",  # it refuses any that is no UUID
        b"origin",  # it allows every origin
        b"content-type",
        b"content-length",
        b"expect",
    )
)


class Outbox:
    """What is yet to be sent to a client. Takes everything at once and sends as the client reads.

    An answer is bounded by the context's length, and so is this.
    """

    def __init__(self, send: Send, *, stall_s: float) -> None:
        self._send = send
        self._stall_s = stall_s
        self._messages: deque[Message] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self.emptied = asyncio.Event()
        """Set when it has been closed and all is sent."""

    async def put(self, message: Message) -> None:
        """Have a message sent after all before it; ASGI's `send`, but that it never waits."""
        self._messages.append(message)
        self._news.set()

    def close(self) -> None:
        """There is no more to come."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Send until closed and empty.

        Raises:
            TimeoutError: the client takes nothing for `stall_s` seconds.
        """
        while True:
            while self._messages:
                async with asyncio.timeout(self._stall_s):
                    await self._send(self._messages.popleft())
            if self._closed:
                self.emptied.set()
                return
            self._news.clear()
            await self._news.wait()


class ResponseRelay:
    """Passes the stock app's answer on, and mends its end.

    The first bytes of a stream commit it to its 200; a comment that keeps a waiting connection open
    (`: ping`, every 15 seconds) does too.

    Args:
        generation: what is answered.
        outbox: where it goes.
        usage_comment: tell the usage in an SSE comment before the end, for the proxy.
    """

    def __init__(self, generation: Generation, outbox: Outbox, *, usage_comment: bool) -> None:
        self._generation = generation
        self._outbox = outbox
        self._usage_comment = usage_comment
        self._start: Message | None = None
        """Held back until the first bytes: until then an error can have a status of its own."""
        self._body = bytearray()
        self._is_stream = False
        self._has_begun = False
        self._is_done = False

    @property
    def is_whole(self) -> bool:
        """Whether all of an answer has come, and a good one."""
        if self._is_stream:
            return self._is_done
        return self._start is not None and self._start["status"] == HTTPStatus.OK and bool(self._body)

    async def send(self, message: Message) -> None:
        """ASGI's send, for the stock app."""
        if message["type"] == "http.response.start":
            self._start = message
            kind = dict(message["headers"]).get(b"content-type", b"")
            self._is_stream = kind.startswith(b"text/event-stream")
        elif message["type"] == "http.response.body":
            await self._take(message.get("body", b""))

    async def _take(self, body: bytes) -> None:
        if not self._is_stream:
            self._body += body
        elif body == _DONE:
            if self._generation.failure is None:
                self._is_done = True
                if self._usage_comment:
                    usage = json.dumps(self._generation.usage, separators=(",", ":"))
                    await self._pass(f": usage {usage}\n\n".encode())
                await self._pass(body)
        elif body:
            await self._pass(body)

    async def _pass(self, body: bytes) -> None:
        if not self._has_begun:
            self._has_begun = True
            assert self._start is not None
            await self._outbox.put(self._start)
        await self._outbox.put({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self) -> None:
        """The stock app has ended, well or not: see to it that the client's answer ends well."""
        if self.is_whole and not self._is_stream:
            assert self._start is not None
            await self._outbox.put(self._start)
            await self._outbox.put({"type": "http.response.body", "body": bytes(self._body)})
        elif self._has_begun:
            if not self.is_whole:
                await self._pass(b"data: " + self._failure().body() + b"\n\n")
            await self._outbox.put({"type": "http.response.body", "body": b""})
        else:
            await send_refusal(self._outbox.put, self._failure())

    def _failure(self) -> Refusal:
        """Why the answer is not whole."""
        failure = self._generation.failure
        if isinstance(failure, Refusal):
            return failure
        if self._generation.ended_by is End.STOPPING:
            return errors.stopping()
        logger.error("an answer failed", exc_info=failure)
        return errors.internal()


class _Visit:
    """A client that is there until it leaves, and what is done for it meanwhile."""

    def __init__(self, work: anyio.CancelScope) -> None:
        self._work = work
        self.left = asyncio.Event()
        self.generation: Generation | None = None

    def leave(self) -> None:
        """The client has left, or takes nothing: stop all that is done for it."""
        self.left.set()
        if self.generation is not None:
            self.generation.end(End.LEFT)
        self._work.cancel()


class GeneratingRequest:
    """Runs generating requests through the stock app."""

    def __init__(self, stock: App, *, stall_s: float) -> None:
        self._stock = stock
        self._stall_s = stall_s

    async def run(
        self, scope: Scope, receive: Receive, send: Send, *, prepare: Prepare, usage_comment: bool
    ) -> None:
        """Answer one request whose body has been read; whoever leaves gets nothing more done.

        Args:
            scope, receive, send: the request's.
            prepare: gives what is to be generated and the body for the stock app; may raise Refusal.
            usage_comment: as Answer's.
        """
        outbox = Outbox(send, stall_s=self._stall_s)
        # anyio's cancellation, not asyncio's: the stock app waits for its thread under a shield that
        # only the former heeds, and would let another request at the model while it runs.
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as work:
                visit = _Visit(work)
                group.start_soon(_watch, receive, visit)
                group.start_soon(_serve_client, outbox, visit)
                try:
                    visit.generation, body = await prepare()
                except Refusal as refusal:
                    await send_refusal(outbox.put, refusal)
                else:
                    answer = ResponseRelay(visit.generation, outbox, usage_comment=usage_comment)
                    await self._ask(scope, body, answer, visit)
                    await answer.finish()
                outbox.close()
                await outbox.emptied.wait()
            group.cancel_scope.cancel()

    async def _ask(
        self, scope: Scope, body: dict[str, Any], answer: ResponseRelay, visit: _Visit
    ) -> None:
        """Let the stock app answer. What goes wrong is noted in the generation."""
        generation = visit.generation
        assert generation is not None
        token = current.set(generation)
        try:
            await self._stock(_stock_scope(scope), _stock_receive(body, visit.left), answer.send)
        except Exception as error:
            if generation.failure is None:
                generation.failure = error
        finally:
            current.reset(token)
            generation.close()


async def _watch(receive: Receive, visit: _Visit) -> None:
    """Wait for the client to leave; it has sent all it has to send."""
    while (await receive())["type"] != "http.disconnect":
        pass
    visit.leave()


async def _serve_client(outbox: Outbox, visit: _Visit) -> None:
    try:
        await outbox.run()
    except (OSError, TimeoutError):
        visit.leave()


def _stock_scope(scope: Scope) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name not in _NOT_TO_STOCK]
    return {**scope, "headers": [*headers, (b"content-type", b"application/json")]}


def _stock_receive(body: dict[str, Any], left: asyncio.Event) -> Receive:
    """Gives the body once, then waits for the client to leave."""
    content = json.dumps(body).encode()
    pending: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        if pending:
            return pending.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    return receive
