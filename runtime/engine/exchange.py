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
from typing import Any

import anyio

from runtime.engine import errors
from runtime.engine.errors import Refusal
from runtime.engine.generation import End, Generation, current
from runtime.engine.wire import App, Message, Receive, Scope, Send, send_refusal

logger = logging.getLogger(__name__)

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

    def put(self, message: Message) -> None:
        """Have a message sent after all before it."""
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


class Answer:
    """Passes the stock app's answer on, and mends its end.

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

    async def send(self, message: Message) -> None:
        """ASGI's send, for the stock app."""
        if message["type"] == "http.response.start":
            self._start = message
            kind = dict(message["headers"]).get(b"content-type", b"")
            self._is_stream = kind.startswith(b"text/event-stream")
        elif message["type"] == "http.response.body":
            self._take(message.get("body", b""))

    def _take(self, body: bytes) -> None:
        if not self._is_stream:
            self._body += body
        elif body == _DONE:
            if self._generation.failure is None:
                self._is_done = True
                if self._usage_comment:
                    usage = json.dumps(self._generation.usage, separators=(",", ":"))
                    self._pass(f": usage {usage}\n\n".encode())
                self._pass(body)
        elif body:
            self._pass(body)

    def _pass(self, body: bytes) -> None:
        if not self._has_begun:
            self._has_begun = True
            assert self._start is not None
            self._outbox.put(self._start)
        self._outbox.put({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self, failure: Refusal | None) -> int:
        """The stock app has ended, well or not; the status that the client was told."""
        if self._is_stream and self._has_begun:
            if failure is not None or not self._is_done:
                self._pass(b"data: " + (failure or errors.internal()).body() + b"\n\n")
            self._outbox.put({"type": "http.response.body", "body": b""})
            return 200
        status = 0 if self._start is None else int(self._start["status"])
        if failure is None and (status != 200 or self._is_stream):
            logger.error("the stock app answered a request it should have understood with %d", status)
            failure = errors.internal()
        if failure is not None:
            await send_refusal(_async(self._outbox.put), failure)
            return failure.status
        assert self._start is not None
        self._outbox.put(self._start)
        self._outbox.put({"type": "http.response.body", "body": bytes(self._body)})
        return 200


def _async(put: Any) -> Send:
    async def send(message: Message) -> None:
        put(message)

    return send


class Exchange:
    """Runs one generating request through the stock app."""

    def __init__(self, stock: App, *, stall_s: float) -> None:
        self._stock = stock
        self._stall_s = stall_s

    async def run(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        generation: Generation,
        body: dict[str, Any],
        usage_comment: bool,
    ) -> int:
        """Answer the request; the status that was told, 499 for a client that left."""
        outbox = Outbox(send, stall_s=self._stall_s)
        answer = Answer(generation, outbox, usage_comment=usage_comment)
        left = asyncio.Event()
        status = 499
        # anyio's cancellation, not asyncio's: the stock app waits for its thread under a shield that
        # only the former heeds, and would let another request at the model while it runs.
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as serving:

                def leave() -> None:
                    generation.end(End.LEFT)
                    left.set()
                    serving.cancel()

                group.start_soon(_watch, receive, leave)
                group.start_soon(_serve_client, outbox, leave)
                failure = await self._ask(scope, body, answer, generation, left)
                status = await answer.finish(failure)
                outbox.close()
                await outbox.emptied.wait()
            group.cancel_scope.cancel()
        return 499 if left.is_set() else status

    async def _ask(
        self,
        scope: Scope,
        body: dict[str, Any],
        answer: Answer,
        generation: Generation,
        left: asyncio.Event,
    ) -> Refusal | None:
        """Let the stock app answer; what to tell the client if it could not."""
        token = current.set(generation)
        try:
            await self._stock(_stock_scope(scope), _stock_receive(body, left), answer.send)
        except Exception as error:
            if generation.failure is None:
                generation.failure = error
        finally:
            current.reset(token)
            generation.close()
        return _failure(generation)


def _failure(generation: Generation) -> Refusal | None:
    if isinstance(generation.failure, Refusal):
        return generation.failure
    if generation.ended_by is End.STOPPING:
        return errors.stopping()
    if generation.failure is not None:
        logger.error("an answer failed", exc_info=generation.failure)
        return errors.internal()
    return None


async def _watch(receive: Receive, leave: Any) -> None:
    """Wait for the client to leave; it has sent all it has to send."""
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


async def _serve_client(outbox: Outbox, leave: Any) -> None:
    try:
        await outbox.run()
    except (OSError, TimeoutError):
        leave()


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
