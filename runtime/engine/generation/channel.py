"""Passes events from the scheduler's thread to the event loop that serves the client.

The scheduler collects a step's events for all requests and delivers them together, since waking an event
loop costs more than the events do. The length of its responses bounds a channel.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from runtime.engine.generation.marks.markup import Phase


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """A token and how likely it was: natural logarithms."""

    piece: bytes
    logprob: float | None
    """None for a prompt's first token, which follows from nothing."""
    top: list[tuple[bytes, float]]
    """The likeliest tokens at the same position, likeliest first."""


@dataclass(frozen=True, kw_only=True)
class PromptRead:
    """The prompt has been evaluated."""

    index: int = 0


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some text of a response, and the tokens that came since the piece before."""

    text: str
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: str | None = None
    """Set on the last piece only."""
    stop: str | None = None
    """On the last piece: the stop sequence that ended the response."""
    index: int = 0
    """Which response of the request it belongs to."""
    phase: Phase = Phase.CONTENT
    """What the text is, in a response with marks."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The last event of a response. Each submitted generation gets exactly one."""

    index: int = 0


Event = PromptRead | Piece | Ended


class Channel:
    """The unread events of one request.

    It must be created in the event loop that reads it, or outside of any loop if nothing reads it.
    """

    def __init__(self) -> None:
        try:
            self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self.loop = None
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._read_at = 0.0

    def put(self, event: Event) -> None:
        """Add an event. Must be called in the loop's thread."""
        self._events.append(event)
        self._news.set()

    async def get(self) -> list[Event]:
        """Wait for at least one event, and return all unread events."""
        await self._news.wait()
        self._news.clear()
        events = list(self._events)
        self._events.clear()
        self._read_at = time.monotonic()
        return events

    @contextmanager
    def reporting_silence(self, after_s: float) -> Iterator[None]:
        """Let `get` return an empty list after so many seconds without events.

        One timer looks now and then: a timeout for each event would cost more than the event.
        """
        self._read_at = time.monotonic()
        self._look(asyncio.get_running_loop(), after_s)
        try:
            yield
        finally:
            self._next_look.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop, after_s: float) -> None:
        left_s = self._read_at + after_s - time.monotonic()
        if left_s <= 0:
            self._news.set()
            left_s = after_s
        self._next_look = loop.call_later(left_s, self._look, loop, after_s)


Post = Sequence[tuple[Channel, Event]]


def deliver(post: Post) -> None:
    """Hand a step's events to their channels, with one call into each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Channel, Event]]] = {}
    for channel, event in post:
        if channel.loop is None:
            channel.put(event)
        else:
            by_loop.setdefault(channel.loop, []).append((channel, event))
    for loop, events in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: the process is about to end
            loop.call_soon_threadsafe(_put_all, events)


def _put_all(events: Post) -> None:
    for channel, event in events:
        channel.put(event)
