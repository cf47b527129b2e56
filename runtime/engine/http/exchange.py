"""Runs a generating request through the stock app and sends the response to the client.

A client that reads slowly, or not at all, occupies no slot and delays no other request: the model
generates whether or not its tokens have been sent, and the context's length bounds how many wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

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


class Client:
    """Sends messages to a client, and gives up one that takes nothing for `stall_s` seconds.

    Args:
        send: ASGI's `send`.
        give_up: called once, if the client has left or takes nothing.
    """

    def __init__(self, send: Send, *, stall_s: float, give_up: Callable[[], None]) -> None:
        self._send = send
        self._stall_s = stall_s
        self._give_up = give_up
        self._clock = asyncio.get_running_loop().time
        self._sending_since: float | None = None

    async def send(self, message: Message) -> None:
        """Send a message; waits until the client has taken most of what came before."""
        self._sending_since = self._clock()
        try:
            await self._send(message)
        except OSError:
            self._give_up()
        finally:
            self._sending_since = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look now and then: a timeout for each message would cost more than sending it."""
        self._look()
        try:
            yield
        finally:
            self._next_look.cancel()

    def _look(self) -> None:
        now = self._clock()
        due = (now if self._sending_since is None else self._sending_since) + self._stall_s
        if due <= now:
            self._give_up()
            due = now + self._stall_s
        self._next_look = asyncio.get_running_loop().call_at(due, self._look)


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
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as work:
                visit = _Visit(work)
                client = Client(send, stall_s=self._stall_s, give_up=visit.leave)
                group.start_soon(_watch, receive, visit)
                with client.watched():
                    try:
                        visit.response = await prepare()
                    except Refusal as refusal:
                        await send_refusal(client.send, refusal)
                    else:
                        scope = _stock_scope(scope, visit.response)
                        await self._stock(scope, receive, client.send)
            group.cancel_scope.cancel()


async def _watch(receive: Receive, visit: _Visit) -> None:
    """Wait for the client to leave. Its request's body has been read already."""
    while (await receive())["type"] != "http.disconnect":
        pass
    visit.leave()


def _stock_scope(scope: Scope, response: GeneratedResponse) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name not in _NOT_TO_STOCK]
    return {**scope, "headers": headers, RESPONSE: response}
