"""Runs one batch: checks its file, runs its lines, some at a time, and ends it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from proxy.batches import errors
from proxy.batches.lines import BudgetUsedUpError, Lines
from proxy.batches.progress import Batch, Progress
from proxy.batches.validation import Item, check_file
from proxy.database.schema import DATABASE_ERRORS
from proxy.files.directory import Directory
from proxy.identity.principal import Principal
from proxy.scheduling.batch_turns import BatchTurns
from proxy.settings import ProxySettings
from proxy.upstream.routes import route_of

logger = logging.getLogger(__name__)

T = TypeVar("T")
AHEAD = 2
"""So many lines wait for a turn, so that no slot is free while a result is written."""
AGAIN_S = 0.5
"""How often the database is tried again."""
LOOK_EVERY_S = 5.0
"""How often the user's limits and stored bytes are looked at."""


class Worker:
    """Works on one batch that is leased to this proxy.

    `checking` is held while a file is checked and its lines are stored: memory has those of one batch.
    """

    def __init__(
        self,
        batch: Batch,
        *,
        settings: ProxySettings,
        progress: Progress,
        directory: Directory,
        lines: Lines,
        turns: BatchTurns,
        checking: asyncio.Lock,
        on_result: Callable[[str], None],
    ) -> None:
        self.batch = batch
        self._settings = settings
        self._progress = progress
        self._path = directory.path_of(batch.input_file_id)
        self._lines = lines
        self._turns = turns
        self._checking = checking
        self._on_result = on_result
        self._cancelled = batch.status == "cancelling"
        self._timeout: asyncio.Timeout | None = None
        self._owner: Principal | None = None
        self._looked_at = float("-inf")
        self._is_full = False
        self._are_all_full = False

    def cancel(self) -> None:
        """The user wants it cancelled."""
        self._cancelled = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Work until the batch has ended. Another runner goes on if this is cancelled."""
        left_s = max(0.0, self.batch.expires_at.timestamp() - time.time())
        try:
            if self._cancelled:
                raise TimeoutError
            async with asyncio.timeout(left_s) as self._timeout:
                if self.batch.status == "validating":
                    async with self._checking:
                        if not await self._validate():
                            return
                await self._run_lines()
        except TimeoutError:
            if not self._cancelled and (self._timeout is None or not self._timeout.expired()):
                raise
            await self._surely(lambda: self._progress.end(self.batch, self._reason()))
            return
        if self._is_full:
            await self._surely(lambda: self._progress.end(self.batch, "failed", [errors.no_storage()]))
        else:
            await self._surely(lambda: self._progress.end(self.batch, "completed"))

    def _reason(self) -> str:
        return "cancelled" if self._cancelled else "expired"

    async def _validate(self) -> bool:
        """Check the input file, and begin. Returns whether the batch goes on."""
        try:
            items, problems = await asyncio.to_thread(
                check_file,
                self._path,
                endpoint=self.batch.endpoint,
                max_lines=self._settings.batch_max_lines,
                max_line_bytes=self._settings.max_body_bytes,
            )
        except OSError:
            logger.exception("the input file of %s cannot be read", self.batch.id)
            items, problems = [], [errors.file_gone()]
        if not problems:
            limit, used = await self._surely(lambda: self._progress.used_lines(self.batch.user_id))
            if limit is not None and used + len(items) > limit:
                problems = [errors.limit_reached(limit, used, len(items))]
        if problems:
            await self._surely(lambda: self._progress.end(self.batch, "failed", problems))
            return False
        await self._surely(lambda: self._progress.begin(self.batch, items))
        return True

    async def _run_lines(self) -> None:
        """Run all lines that have no result, some at a time, in order."""
        route = route_of("POST", self.batch.endpoint)
        running: set[asyncio.Task[None]] = set()
        waiting: list[Item] = []
        after, more = 0, True
        try:
            while True:
                while not self._is_full and len(running) < self._turns.most(route) + AHEAD:
                    if not waiting and more:
                        waiting = await self._surely(
                            lambda: self._progress.open_lines(self.batch.id, after)  # noqa: B023
                        )
                        more = bool(waiting)
                    if not waiting:
                        break
                    item = waiting.pop(0)
                    after = item.line
                    running.add(asyncio.create_task(self._run_line(item)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _run_line(self, item: Item) -> None:
        """Run a line, and keep its result."""
        while True:
            owner = await self._active_owner()
            line = await asyncio.to_thread(self._read, item)
            try:
                outcome = await self._lines.run(
                    owner,
                    batch_id=self.batch.id,
                    endpoint=self.batch.endpoint,
                    custom_id=item.custom_id,
                    line=line,
                )
            except BudgetUsedUpError:
                await self._surely(
                    lambda: self._progress.wait_for(self.batch.id, errors.WAITS_FOR_BUDGET)
                )
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            await self._surely(lambda: self._progress.save(self.batch, item.line, outcome))  # noqa: B023
            self._on_result("failed" if outcome.failed else "completed")
            return

    def _read(self, item: Item) -> bytes | None:
        try:
            with self._path.open("rb") as file:
                file.seek(item.place)
                return file.read(item.length)
        except OSError:
            logger.exception("a line of %s cannot be read", self.batch.id)
            return None

    async def _active_owner(self) -> Principal:
        """The batch's user with the present limits, once the user is active and results have room."""
        while True:
            now = time.monotonic()
            if self._owner is None or now - self._looked_at > LOOK_EVERY_S:
                self._looked_at = now
                self._owner = await self._surely(lambda: self._progress.owner(self.batch))
                await self._look_at_room()
            if self._owner is None or not self._owner.is_active:
                why = errors.WAITS_FOR_USER
            elif self._are_all_full and not self._is_full:
                why = errors.WAITS_FOR_ROOM
            else:
                return self._owner
            await self._surely(lambda: self._progress.wait_for(self.batch.id, why))  # noqa: B023
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look_at_room(self) -> None:
        """Whether results have room: a batch fails if its user has none, and waits if nobody has."""
        own, of_all = await self._surely(lambda: self._progress.stored_bytes(self.batch.user_id))
        self._is_full = own > self._settings.user_files_bytes
        self._are_all_full = of_all > self._settings.files_bytes

    async def _surely(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call what needs the database until that answers."""
        while True:
            try:
                return await call()
            except DATABASE_ERRORS as error:
                logger.warning("%s waits for the database: %s", self.batch.id, error)
                await asyncio.sleep(AGAIN_S)
