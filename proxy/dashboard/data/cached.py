"""Answers that several pages share: each is read once and shown for a while."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_ANSWERS = 100


class Cached(Generic[T]):
    """By a name, such as a user's. `fresh_s`: how long an answer is shown again."""

    def __init__(self, fresh_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._fresh_s = fresh_s
        self._clock = clock
        self._answers: OrderedDict[Hashable, tuple[float, asyncio.Task[T]]] = OrderedDict()

    async def get(self, name: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """The answer of that name; `read` is called if there is no fresh one. Errors are not kept."""
        read_at, task = self._answers.get(name, (float("-inf"), None))
        if task is None or self._clock() - read_at > self._fresh_s or _failed(task):
            task = asyncio.ensure_future(_awaited(read))
            self._answers[name] = (self._clock(), task)
            self._answers.move_to_end(name)
            while len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
        return await asyncio.shield(task)


async def _awaited(read: Callable[[], Awaitable[T]]) -> T:
    return await read()


def _failed(task: asyncio.Task[T]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
