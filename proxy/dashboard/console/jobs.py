"""Commands that take long, `pull` and `use`: one at a time, with an owner, a bound and last lines."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from proxy.dashboard.console import errors, processes
from proxy.dashboard.console.commands import Command
from proxy.dashboard.data.errors import DashboardError

MAX_LINES = 200
MAX_LINE_CHARS = 500


@dataclass(kw_only=True, eq=False)
class Job:
    """A command that runs, or the last one that ran."""

    command: Command
    username: str
    """Who began it."""
    began_at: float
    """Unix time."""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_LINES))
    status: int | None = None
    """The exit status; None while it runs."""
    stopped_by: str = ""

    @property
    def runs(self) -> bool:
        return self.status is None

    @property
    def outcome(self) -> str:
        """In a word."""
        if self.runs:
            return "runs"
        if self.stopped_by:
            return f"stopped by {self.stopped_by}"
        return "done" if self.status == 0 else "failed"


class Jobs:
    """Runs one job at a time; the last one is remembered. `close` ends it."""

    def __init__(self, root: Path, *, wall: Callable[[], float] = time.time) -> None:
        self._root = root
        self._wall = wall
        self._task: asyncio.Task[None] | None = None
        self.last: Job | None = None

    def begin(self, command: Command, username: str) -> Job:
        """Begin a job.

        Raises:
            DashboardError: another one runs.
        """
        self.check_idle()
        job = self.last = Job(command=command, username=username, began_at=self._wall())
        self._task = asyncio.create_task(self._run(job))
        return job

    def check_idle(self) -> None:
        """Whoever has something to do before `begin` asks this first.

        Raises:
            DashboardError: a job runs.
        """
        if self.last is not None and self.last.runs:
            raise errors.busy(self.last.command.text, self.last.username)

    def stop(self, username: str) -> Job:
        """Stop the job that runs: it ends soon.

        Raises:
            DashboardError: none runs.
        """
        if self._task is None or self.last is None or not self.last.runs:
            raise errors.not_running()
        self.last.stopped_by = self.last.stopped_by or username
        self._task.cancel()
        return self.last

    async def close(self) -> None:
        """End the job that runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, job: Job) -> None:
        status = 1
        process: asyncio.subprocess.Process | None = None
        try:
            process = await processes.start(self._root, job.command, stderr=asyncio.subprocess.STDOUT)
            async with asyncio.timeout(job.command.timeout_s):
                await _collect(process.stdout, job)
                status = await process.wait()
        except DashboardError as error:
            job.lines.append(str(error))
        except TimeoutError:
            job.lines.append(str(errors.too_slow(job.command.text)))
        finally:
            if process is not None and process.returncode is None:
                await _until_ended(process)
            job.status = status


async def _until_ended(process: asyncio.subprocess.Process) -> None:
    """End what was started, whoever cancels it meanwhile: a second "Stop", or the dashboard's end."""
    ending = asyncio.create_task(processes.end(process))
    while not ending.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([ending])


async def _collect(stream: asyncio.StreamReader | None, job: Job) -> None:
    assert stream is not None
    rest = ""
    while piece := await stream.read(4_096):
        *lines, rest = (rest + piece.decode("utf-8", "replace")).replace("\r", "\n").split("\n")
        job.lines.extend(line[:MAX_LINE_CHARS] for line in lines if line.strip())
        rest = rest[-MAX_LINE_CHARS:]
    if rest.strip():
        job.lines.append(rest)


def downloaded_bytes(root: Path) -> int:
    """The size of what `pull` has downloaded and not completed."""
    total = 0
    for path in (root / "models" / ".pull").glob("**/*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # it is complete, or removed, by now
            continue
    return total
