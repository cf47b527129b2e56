"""The response to a generating request: from the scheduler's events to bytes.

llama_cpp.server's app calls this in place of its own two generating endpoints (`stock.py`), which hold
a thread for each response and frame it with four times the work. Owns what the client sees when
something goes wrong: a status as long as nothing has been sent, an error event after that.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import orjson

from runtime.engine import errors
from runtime.engine.api.pieces import ReplyPiece
from runtime.engine.api.prepared import Prepared
from runtime.engine.api.usage import evaluated_usage
from runtime.engine.errors import Refusal
from runtime.engine.generation.channel import Channel, Ended, Event, Piece, PromptRead
from runtime.engine.generation.generation import End
from runtime.engine.generation.scheduler import Scheduler
from runtime.engine.http.asgi import Message, Receive, Scope, Send, send_bytes, send_refusal
from runtime.engine.http.for_proxy import USAGE_HEADER

logger = logging.getLogger(__name__)

RESPONSE = "llamaserve.response"
"""The key in the ASGI scope for the `GeneratedResponse` that the stock app's endpoint sends."""
PING_S = 15.0
"""A stream without events for this long sends a comment, so that no proxy closes it as idle."""

_PING = b": ping\n\n"
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Endpoint:
    """An ASGI app that sends the response which has been prepared for a request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response: GeneratedResponse = scope[RESPONSE]
        await response.send(send)


class GeneratedResponse:
    """One response, whole or streamed.

    Args:
        prepared: what is to be generated.
        scheduler: generates it.
        tells_usage: report the usage to the proxy, in a header or, in a stream, in comments.
    """

    def __init__(self, prepared: Prepared, scheduler: Scheduler, *, tells_usage: bool) -> None:
        self._generations = prepared.generations
        self._readers = prepared.readers
        self._shape = prepared.shape
        self._is_stream = prepared.is_stream
        self._scheduler = scheduler
        self._tells_usage = tells_usage
        self._has_told_early = False
        self._channel = Channel()
        for generation in self._generations:
            generation.channel = self._channel

    async def send(self, send: Send) -> None:
        """Generate the response and send it as it is generated. Raises only when cancelled."""
        self._scheduler.submit(self._generations)
        try:
            if self._is_stream:
                await self._send_stream(send)
            else:
                await self._send_whole(send)
        finally:
            self.end()

    def end(self) -> None:
        """End the generations: the client reads no more of the response."""
        for generation in self._generations:
            if not generation.is_ended:
                generation.end(End.LEFT)

    async def _send_whole(self, send: Send) -> None:
        pieces: list[ReplyPiece] = []
        n_open = len(self._generations)
        while n_open:
            events = await self._channel.get()
            for event in events:
                if isinstance(event, Piece):
                    pieces += self._readers[event.index].read(event)
            n_open -= _n_ended(events)
        if (failure := self._failure()) is not None:
            await send_refusal(send, failure)
            return
        content = orjson.dumps(self._shape.whole(pieces))
        headers = [(USAGE_HEADER, self._usage())] if self._tells_usage else []
        await send_bytes(send, 200, content, headers, kind=b"application/json")

    async def _send_stream(self, send: Send) -> None:
        start: Message = {"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS}
        n_open = len(self._generations)
        has_begun = False
        with self._channel.reporting_silence(PING_S):
            while n_open:
                events = await self._channel.get()
                n_open -= _n_ended(events)
                content = b"".join(map(self._framed, events)) if events else _PING
                if content and not has_begun:
                    has_begun = True
                    await send(start)
                if content:
                    await send({"type": "http.response.body", "body": content, "more_body": True})
        failure = self._failure()
        if failure is not None and not has_begun:
            await send_refusal(send, failure)
            return
        await send({"type": "http.response.body", "body": self._closing(failure)})

    def _framed(self, event: Event) -> bytes:
        if isinstance(event, Piece):
            pieces = self._readers[event.index].read(event)
            return b"".join(map(self._shape.frame, self._shape.chunks(pieces)))
        # Once: with the second of several prompts, tokens of the first may have been generated.
        if isinstance(event, PromptRead) and self._tells_usage and not self._has_told_early:
            self._has_told_early = True
            return self._usage_comment(completion=False)
        return b""

    def _closing(self, failure: Refusal | None) -> bytes:
        usage = self._usage_comment() if self._tells_usage else b""
        if failure is not None:
            return usage + self._shape.failure(failure)
        closing = b"".join(map(self._shape.frame, self._shape.closing()))
        return closing + usage + self._shape.done()

    def _usage_comment(self, *, completion: bool = True) -> bytes:
        return b": usage " + self._usage(completion=completion) + b"\n\n"

    def _usage(self, *, completion: bool = True) -> bytes:
        usage = evaluated_usage(self._generations)
        return orjson.dumps(usage if completion else {**usage, "completion_tokens": 0})

    def _failure(self) -> Refusal | None:
        """The reason why the response is incomplete; None if it is complete."""
        failure = next((one.failure for one in self._generations if one.failure is not None), None)
        if failure is None or isinstance(failure, Refusal):
            return failure
        logger.error("a response failed", exc_info=failure)
        return errors.internal()


def _n_ended(events: Sequence[Event]) -> int:
    return sum(isinstance(event, Ended) for event in events)
