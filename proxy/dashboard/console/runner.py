"""Runs commands of the console that answer with JSON: one at a time, each answer shared for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from proxy.dashboard.console import errors, processes
from proxy.dashboard.console.commands import Command

MAX_OUTPUT_BYTES = 2**20
FRESH_S = 5.0
"""An answer is given again for so long."""


class Console:
    """The console of one checkout. Those who ask for the same at the same time share one process."""

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._running: dict[Command, asyncio.Task[Any]] = {}
        self._answers: dict[Command, tuple[float, Any]] = {}

    async def ask(self, command: Command, *, fresh: bool = False) -> Any:
        """The JSON that a command prints. `fresh`: not one that was printed before this call.

        Raises:
            Unavailable: it fails, prints something else, or takes too long.
        """
        at, answer = self._answers.get(command, (float("-inf"), None))
        if not fresh and self._clock() - at < FRESH_S:
            return answer
        task = self._running.get(command)
        if task is None:
            task = asyncio.create_task(self._run(command))
            self._running[command] = task
            task.add_done_callback(lambda _: self._running.pop(command, None))
        # Others may wait for the same process: whoever leaves does not end it.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End what runs."""
        for task in list(self._running.values()):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task

    async def _run(self, command: Command) -> Any:
        async with self._one_at_a_time:
            process = await processes.start(self._root, command, stderr=asyncio.subprocess.PIPE)
            try:
                async with asyncio.timeout(command.timeout_s):
                    output, messages = await asyncio.gather(_read(process.stdout), _read(process.stderr))
                    status = await process.wait()
            except TimeoutError as error:
                raise errors.too_slow(command.text) from error
            finally:
                if process.returncode is None:
                    await processes.end(process)
        answer = _answer(command, status, output, messages)
        self._answers[command] = (self._clock(), answer)
        return answer


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    """All that comes, of which MAX_OUTPUT_BYTES are kept."""
    assert stream is not None
    kept = b""
    while piece := await stream.read(65_536):
        kept += piece[: MAX_OUTPUT_BYTES - len(kept)]
    return kept


def _answer(command: Command, status: int, output: bytes, messages: bytes) -> Any:
    if status in command.exit_statuses:
        with suppress(ValueError):
            return orjson.loads(output)
    lines = messages.decode("utf-8", "replace").strip().splitlines()
    raise errors.failed(command.text, lines[-1][:300].rstrip(".") if lines else "")
