"""Runs a generating request through the stock app and sends the response to the client.

The response is buffered in an outbox, so that a client that reads slowly, or not at all, occupies no
slot and delays no other request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import anyio

from runtime.engine.errors import Refusal
from runtime.engine.http.asgi import App, Message, Receive, Scope, Send, send_refusal
from runtime.engine.http.generated import RESPONSE, GeneratedResponse

Prepare = Callable[[], Awaitable[GeneratedResponse]]

_NOT_TO_STOCK = frozenset(
    (
        b"x-request-id",  # it refuses any that is no UUID
        b"origin",  # it allows every origin
    )
)


class Outbox:
    """The messages still to be sent to a client. Accepts all at once, and sends as the client reads.

    The context's length bounds a response, and so the outbox.
    """

    def __init__(self, send: Send, *, stall_s: float) -> None:
        self._send = send
        self._stall_s = stall_s
        self._sending_since: float | None = None
        self._messages: deque[Message] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self.emptied = asyncio.Event()
        """Set when it has been closed and all is sent."""

    async def put(self, message: Message) -> None:
        """Append a message. Like ASGI's `send`, but never waits."""
        self._messages.append(message)
        self._news.set()

    def close(self) -> None:
        """Declare that no more messages follow."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Send until closed and empty.

        Raises:
            TimeoutError: the client takes nothing for `stall_s` seconds.
        """
        async with asyncio.timeout(None) as stall:
            self._watch(stall)
            try:
                await self._run()
            finally:
                self._next_look.cancel()

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            while self._messages:
                self._sending_since = now()
                await self._send(self._messages.popleft())
            self._sending_since = None
            if self._closed:
                self.emptied.set()
                return
            self._news.clear()
            await self._news.wait()

    def _watch(self, stall: asyncio.Timeout) -> None:
        """Look now and then: a timeout for each message would cost more than sending it."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = (now if self._sending_since is None else self._sending_since) + self._stall_s
        if due <= now:
            stall.reschedule(now)
        self._next_look = loop.call_at(due, self._watch, stall)


class _Visit:
    """A connected client, and the work that is done for it until it leaves."""

    def __init__(self, work: anyio.CancelScope) -> None:
        self._work = work
        self.response: GeneratedResponse | None = None

    def leave(self) -> None:
        """Stop all work for a client that has left or reads nothing."""
        if self.response is not None:
            self.response.end()
        self._work.cancel()


class Exchange:
    """Runs generating requests through the stock app; a client that leaves gets nothing more done."""

    def __init__(self, stock: App, *, stall_s: float) -> None:
        self._stock = stock
        self._stall_s = stall_s

    async def run(self, scope: Scope, receive: Receive, send: Send, *, prepare: Prepare) -> None:
        """Answer one request whose body has been read.

        Args:
            scope, receive, send: the request's ASGI arguments.
            prepare: returns the response to send; may raise Refusal.
        """
        outbox = Outbox(send, stall_s=self._stall_s)
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as work:
                visit = _Visit(work)
                group.start_soon(_watch, receive, visit)
                group.start_soon(_serve_client, outbox, visit)
                try:
                    visit.response = await prepare()
                except Refusal as refusal:
                    await send_refusal(outbox.put, refusal)
                else:
                    await self._stock(_stock_scope(scope, visit.response), receive, outbox.put)
                outbox.close()
                await outbox.emptied.wait()
            group.cancel_scope.cancel()


async def _watch(receive: Receive, visit: _Visit) -> None:
    """Wait for the client to leave. Its request's body has been read already."""
    while (await receive())["type"] != "http.disconnect":
        pass
    visit.leave()


async def _serve_client(outbox: Outbox, visit: _Visit) -> None:
    try:
        await outbox.run()
    except (OSError, TimeoutError):
        visit.leave()


def _stock_scope(scope: Scope, response: GeneratedResponse) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name not in _NOT_TO_STOCK]
    return {**scope, "headers": headers, RESPONSE: response}
