"""Threads for what may take long and nobody's response waits for: tokenizing on its own.

They have a lower priority than the model's: its threads wait for each other at every step, and a text
of some MB keeps a core busy for seconds.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import orjson

from runtime.engine.api.tokenizing import Tokenizing
from runtime.engine.http.asgi import Receive, Scope, Send, read_body, send_bytes
from runtime.engine.vocabulary import Vocabulary

NICENESS = 10
Make = Callable[[bytes], dict[str, Any]]
"""Makes a response from a request's body; may raise a Refusal."""


def background_threads(number: int, name: str) -> ThreadPoolExecutor:
    """A pool of so many threads."""
    return ThreadPoolExecutor(number, name, initializer=_step_back)


def _step_back() -> None:
    # On Linux priorities are threads'; elsewhere there is no process of that number, or no such call.
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def answering(
    pool: ThreadPoolExecutor, make: Make, *, limit_bytes: int
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """A handler that makes its response from the body in a thread: texts and lists may be long."""

    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, limit_bytes)
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(pool, lambda: orjson.dumps(make(body)))
        await send_bytes(send, 200, content, [], kind=b"application/json")

    return handler


def tokenizing_paths(
    vocabulary_of: Callable[[str | None], Vocabulary], *, n_ctx: int
) -> dict[str, Make]:
    """What makes the response for each path of tokenizing. `n_ctx`: the longest context of a model."""
    tokenizing = Tokenizing(vocabulary_of, n_ctx=n_ctx)
    return {
        "/extras/tokenize": tokenizing.tokens,
        "/extras/tokenize/count": tokenizing.count,
        "/extras/detokenize": tokenizing.text,
    }
