"""Runs what pages ask of the database in a few threads, with bounds of time and number.

One user's questions take neither all threads nor all places: others are answered beside them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from psycopg import Connection

from proxy.dashboard.data import errors
from proxy.database import pool
from proxy.database.schema import DATABASE_ERRORS

logger = logging.getLogger(__name__)

THREADS = 3
THREADS_PER_USER = 2
MAX_WAITING = 64
MAX_WAITING_PER_USER = 24
STATEMENT_TIMEOUT_S = 15

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Connections are made for each question: pages ask seldom, and idle ones would take memory."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")
        self._waiting: Counter[str] = Counter()
        """Questions under way, by who asks; each also has an entry in `_turns`."""
        self._turns: dict[str, asyncio.Semaphore] = {}

    def close(self) -> None:
        """Wait for what runs."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def run(
        self,
        actor: str,
        ask: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call `ask` with a connection in a transaction, in a thread. The audit names `actor`.

        Raises:
            Unavailable: the database does not answer in time, or too many wait.
            UserError: `ask` raised it.
        """
        if self._waiting.total() >= MAX_WAITING or self._waiting[actor] >= MAX_WAITING_PER_USER:
            raise errors.overloaded()
        self._waiting[actor] += 1
        turns = self._turns.setdefault(actor, asyncio.Semaphore(THREADS_PER_USER))
        work = partial(self._in_thread, actor, lambda c: ask(c, *args, **kwargs))
        # A question goes on, and counts, when the page that asked is gone.
        question = asyncio.create_task(self._in_turn(turns, work))
        question.add_done_callback(partial(self._answered, actor))
        try:
            return await asyncio.shield(question)
        except DATABASE_ERRORS as error:
            logger.warning("the dashboard cannot use the database: %s", error)
            raise errors.database_unavailable() from error

    async def _in_turn(self, turns: asyncio.Semaphore, work: Callable[[], T]) -> T:
        async with turns:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _answered(self, actor: str, question: asyncio.Task[T]) -> None:
        self._waiting[actor] -= 1
        if not self._waiting[actor]:
            del self._waiting[actor], self._turns[actor]
        if not question.cancelled():
            question.exception()  # whoever asked may be gone

    def _in_thread(self, actor: str, ask: Callable[[Connection], T]) -> T:
        application = f"llamaserve-dashboard/{actor}"[:63]
        with (
            pool.connect(self._url, application=application) as connection,
            connection.transaction(),
        ):
            # Both end with the transaction: behind a pooler, others share the session.
            connection.execute(
                "SELECT set_config('statement_timeout', %s, true),"
                " set_config('application_name', %s, true)",
                [f"{STATEMENT_TIMEOUT_S}s", application],
            )
            return ask(connection)
