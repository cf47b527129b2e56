"""One process of `./console.sh`, in a group of its own that is ended as a whole."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from proxy.dashboard.console import errors
from proxy.dashboard.console.commands import Command

END_S = 20.0
"""How long a process group may take to end itself: `use` goes back to the old model."""


async def start(root: Path, command: Command, *, stderr: int) -> asyncio.subprocess.Process:
    """Start a command of the checkout `root`. Its output is a pipe, and it has no terminal.

    Raises:
        Unavailable: it cannot be started.
    """
    try:
        return await asyncio.create_subprocess_exec(
            str(root / "console.sh"),
            *command.arguments,
            cwd=root,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise errors.cannot_start(command.text, error.strerror or str(error)) from error


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process and all that it has started, by force after END_S."""
    _signal(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    # Its group lives on while any of its members does.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
