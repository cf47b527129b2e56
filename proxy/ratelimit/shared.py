"""The rate windows of several proxies on one database: the same guarantee for all of them together.

The windows are in PostgreSQL, whose functions (migration 0002) decide, one user at a time and by the
database's clock. This side asks them: requests of one user that come while an answer is awaited are
asked for together in the next question, so that a crowd costs a few round trips.

Turns, and with them `max_concurrent`, are each proxy's own. While the database is out of reach nobody
is admitted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import LiteralString, NamedTuple

from psycopg_pool import AsyncConnectionPool

from proxy import errors
from proxy.database.pool import deadline
from proxy.database.schema import DATABASE_ERRORS
from proxy.identity.principal import Principal
from proxy.ratelimit.admission import Admission, effective_limits
from proxy.ratelimit.sliding_window import Decision
from proxy.settings import ProxySettings

logger = logging.getLogger(__name__)

QUERY_TIMEOUT_S = 3.0
TRIES, RETRY_S = 5, 1.0
"""For what must be noted although nobody waits for it."""

_ADMIT = """
    SELECT granted, entry, used, wait_s, reset_s, tokens_used, tokens_wait_s, tokens_reset_s
    FROM llama_admit(%s, %s, %s, %s, %s, %s)
"""
_TOKENS_LEFT = "SELECT used, wait_s, reset_s FROM llama_tokens_left(%s, %s, %s, %s)"
_CHARGE = "SELECT llama_charge(%s, %s, %s, %s)"
_GIVE_BACK = "SELECT llama_give_back(%s, %s)"


class _Question(NamedTuple):
    """What requests must have in common to be asked for together."""

    user_id: int
    username: str
    limit: int
    window_s: float
    token_limit: int | None


class SharedAdmission:
    """An Admitter. Close it when the last request has ended."""

    def __init__(self, *, settings: ProxySettings, pool: AsyncConnectionPool) -> None:
        self._settings = settings
        self._pool = pool
        self._waiting: dict[_Question, list[asyncio.Future[Admission]]] = {}
        """Those to be asked for next; a question that is there is being asked just now."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._charges: dict[int, set[asyncio.Task[None]]] = {}
        """Under way, by user."""

    async def admit(self, principal: Principal, *, generates: bool) -> Admission:
        """As Admitter has it."""
        limit, token_limit, window_s = effective_limits(principal, self._settings)
        if not generates:
            token_limit = None
        if token_limit is not None:
            await self._settle(principal.user_id)
        question = _Question(principal.user_id, principal.username, limit, window_s, token_limit)
        answer: asyncio.Future[Admission] = asyncio.get_running_loop().create_future()
        if question in self._waiting:
            self._waiting[question].append(answer)
        else:
            self._waiting[question] = [answer]
            self._spawn(self._ask(question))
        try:
            return await answer
        except asyncio.CancelledError:
            # The answer may have come in the same moment; nobody will hear of its place.
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                admission = answer.result()
                if admission.entry is not None:
                    self.give_back(principal, admission)
            raise

    async def tokens_left(self, principal: Principal) -> Decision | None:
        """As Admitter has it."""
        _, token_limit, window_s = effective_limits(principal, self._settings)
        if token_limit is None:
            return None
        await self._settle(principal.user_id)
        try:
            row = await self._fetch(
                _TOKENS_LEFT, (principal.user_id, principal.username, window_s, token_limit)
            )
        except DATABASE_ERRORS as error:
            raise _out_of_reach(error) from error
        return _decision(token_limit, *row)

    def give_back(self, principal: Principal, admission: Admission) -> None:
        """As Admitter has it."""
        self._spawn(self._note(_GIVE_BACK, (principal.user_id, admission.entry)))

    def charge(self, principal: Principal, tokens: Callable[[], int]) -> None:
        """As Admitter has it."""
        _, token_limit, window_s = effective_limits(principal, self._settings)
        user_id = principal.user_id
        # A user who is given a limit begins with what the records tell: a trigger sees to that.
        if token_limit is not None and (used := tokens()) > 0:
            values = (user_id, principal.username, window_s, used)
            charge = self._spawn(self._note(_CHARGE, values))
            self._charges.setdefault(user_id, set()).add(charge)
            charge.add_done_callback(lambda done: self._charged(user_id, done))

    async def close(self) -> None:
        """Let what is still to be noted be noted."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=QUERY_TIMEOUT_S)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _charged(self, user_id: int, charge: asyncio.Task[None]) -> None:
        charges = self._charges[user_id]
        charges.discard(charge)
        if not charges:
            del self._charges[user_id]

    async def _settle(self, user_id: int) -> None:
        """What this proxy has charged the user with must count before it is asked."""
        if charges := self._charges.get(user_id):
            await asyncio.wait(set(charges), timeout=QUERY_TIMEOUT_S)

    async def _ask(self, question: _Question) -> None:
        """Ask for those that wait, and for those that come meanwhile, until there are none."""
        while answers := self._waiting[question]:
            self._waiting[question] = []
            user_id, username, limit, window_s, token_limit = question
            try:
                row = await self._fetch(
                    _ADMIT, (user_id, username, len(answers), limit, window_s, token_limit)
                )
            except DATABASE_ERRORS as error:
                for answer in answers:
                    if not answer.done():
                        answer.set_exception(_out_of_reach(error))
            else:
                self._distribute(question, answers, row)
        del self._waiting[question]

    def _distribute(
        self, question: _Question, answers: list[asyncio.Future[Admission]], row: Sequence[float]
    ) -> None:
        granted, entry, used, wait_s, reset_s, *of_tokens = row
        tokens = None
        if question.token_limit is not None:
            tokens = _decision(question.token_limit, *of_tokens)
        for number, answer in enumerate(answers, 1):
            admitted = number <= granted
            now_used = used + min(number, granted)
            requests = _decision(question.limit, now_used, wait_s, reset_s)
            requests.admitted = admitted
            admission = Admission(requests=requests, tokens=tokens, entry=entry if admitted else None)
            if not answer.done():
                answer.set_result(admission)
            elif admitted:  # its client has left
                self._spawn(self._note(_GIVE_BACK, (question.user_id, entry)))

    async def _note(self, statement: LiteralString, values: Sequence[object]) -> None:
        for tries_left in reversed(range(TRIES)):
            try:
                await self._fetch(statement, values)
            except DATABASE_ERRORS as error:
                if not tries_left:
                    logger.error("a user's window in the database is not up to date: %s", error)
                    return
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _fetch(self, statement: LiteralString, values: Sequence[object]) -> Sequence[float]:
        async with self._pool.connection(timeout=QUERY_TIMEOUT_S) as connection:
            with deadline(connection, QUERY_TIMEOUT_S):
                cursor = await connection.execute(statement, values)
                row = await cursor.fetchone()
        assert row is not None
        return row


def _decision(limit: int, used: float, wait_s: float, reset_s: float) -> Decision:
    remaining = max(0, limit - int(used))
    return Decision(
        admitted=remaining > 0,
        limit=limit,
        remaining=remaining,
        retry_after_s=0.0 if remaining else wait_s,
        reset_s=reset_s,
    )


def _out_of_reach(error: BaseException) -> errors.ApiError:
    logger.warning("the shared windows are out of reach: %s", error)
    return errors.windows_unavailable()
