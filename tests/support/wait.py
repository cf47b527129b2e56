"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

DEADLINE_S = 30.0
_PAUSE_S = 0.02


async def until(probe: Callable[[], Any], what: str, *, deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of `probe`, awaited if it must be.

    AssertionError, naming `what`, after the deadline.
    """
    end = time.monotonic() + deadline_s
    while True:
        value = probe()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < end, f"waited {deadline_s:g} s in vain for: {what}"
        await asyncio.sleep(_PAUSE_S)


def wait_until(probe: Callable[[], T | None], what: str, *, deadline_s: float = DEADLINE_S) -> T:
    """Like `until`, without an event loop; `probe` is not awaited."""
    end = time.monotonic() + deadline_s
    while not (value := probe()):
        assert time.monotonic() < end, f"waited {deadline_s:g} s in vain for: {what}"
        time.sleep(_PAUSE_S)
    return value
