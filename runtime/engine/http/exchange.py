"""Runs a generating request through the stock app and sends the response to the client.

A client that reads slowly, or not at all, occupies no slot and delays no other request: the model
generates whether or not its tokens have been sent, and the context's length bounds how many wait.
`protocol.py` disconnects a client that takes nothing.
"""

from __future__ import annotations

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


class _Visit:
    """A connected client, and the work that is done for it until it leaves."""

    def __init__(self, work: anyio.CancelScope, send: Send) -> None:
        self._work = work
        self._send = send
        self.response: GeneratedResponse | None = None

    async def send(self, message: Message) -> None:
        """Send a message; waits until the client has taken most of what came before."""
        try:
            await self._send(message)
        except OSError:
            self.leave()

    def leave(self) -> None:
        """Stop all work for a client that has left."""
        if self.response is not None:
            self.response.end()
        self._work.cancel()


class Exchange:
    """Runs generating requests through the stock app; a client that leaves gets nothing more done."""

    def __init__(self, stock: App) -> None:
        self._stock = stock

    async def run(self, scope: Scope, receive: Receive, send: Send, *, prepare: Prepare) -> None:
        """Answer one request whose body has been read.

        Args:
            scope, receive, send: the request's ASGI arguments.
            prepare: returns the response to send; may raise Refusal.
        """
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as work:
                visit = _Visit(work, send)
                group.start_soon(_watch, receive, visit)
                try:
                    visit.response = await prepare()
                except Refusal as refusal:
                    await send_refusal(visit.send, refusal)
                else:
                    scope = _stock_scope(scope, visit.response)
                    await self._stock(scope, receive, visit.send)
            group.cancel_scope.cancel()


async def _watch(receive: Receive, visit: _Visit) -> None:
    """Wait for the client to leave. Its request's body has been read already."""
    while (await receive())["type"] != "http.disconnect":
        pass
    visit.leave()


def _stock_scope(scope: Scope, response: GeneratedResponse) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name not in _NOT_TO_STOCK]
    return {**scope, "headers": headers, RESPONSE: response}
