"""The rate windows of several proxies on one database: the same guarantee for all of them together.

The windows are in PostgreSQL, whose functions (migrations 0002 and 0004) decide, one user at a time and
by the database's clock. Requests of one user that come while a query is under way share the next one,
so that a crowd costs a few round trips. Each call has an id: one whose reply was lost is repeated or
withdrawn, and never counts twice.

Turns, and with them `max_concurrent`, are each proxy's own. While the database is out of reach nobody
is admitted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import NamedTuple

from psycopg_pool import AsyncConnectionPool, PoolTimeout

from proxy import errors
from proxy.database.schema import DATABASE_ERRORS
from proxy.identity.principal import Principal
from proxy.ratelimit.admission import Admission, effective_limits
from proxy.ratelimit.queries import QUERY_TIMEOUT_S, carry_out, fetch
from proxy.ratelimit.sliding_window import Decision
from proxy.records.record import RequestRecord
from proxy.records.request_ids import new_request_id
from proxy.records.request_log import RequestLog
from proxy.settings import ProxySettings

logger = logging.getLogger(__name__)

UNLIMITED_EVERY_S = 1.0
MAX_UNLIMITED = 10_000

_ADMIT = """
    SELECT granted, entry, used, wait_s, reset_s, tokens_used, tokens_wait_s, tokens_reset_s
    FROM llama_admit_once(%s, %s, %s, %s, %s, %s, %s)
"""
_TOKENS_LEFT = "SELECT used, wait_s, reset_s FROM llama_tokens_left(%s, %s, %s, %s)"
_CHARGE = "SELECT llama_charge_once(%s, %s, %s, %s, %s)"
_GIVE_BACK = "SELECT llama_give_back_once(%s, %s, %s)"
_WITHDRAW = "SELECT llama_withdraw(%s, %s)"
_NOW_LIMITED = """
    SELECT coalesce(array_agg(w.user_id), '{}') FROM llama_windows w
    JOIN (SELECT id, token_limit FROM llama_users UNION ALL SELECT -id, token_limit FROM llama_groups) s
        ON s.id = w.user_id
    WHERE w.kind = 'tokens' AND s.token_limit IS NOT NULL AND w.user_id = ANY (%s)
"""


class _Query(NamedTuple):
    """What requests must have in common to share a query."""

    user_id: int
    username: str
    limit: int
    window_s: float
    token_limit: int | None


class _Charge(NamedTuple):
    """The arguments of llama_charge_once."""

    request_id: str
    user_id: int
    username: str
    window_s: float
    tokens: int


class SharedAdmission:
    """An Admitter. `run` must be running as a task. Close it when the last request has ended."""

    def __init__(
        self, *, settings: ProxySettings, pool: AsyncConnectionPool, request_log: RequestLog
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._log = request_log
        self._waiting: dict[_Query, list[asyncio.Future[Admission]]] = {}
        """Requests for the next query. A key is present while a query of its kind is under way."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._charges: dict[int, set[asyncio.Task[None]]] = {}
        """Under way, by user."""
        self._unlimited: list[_Charge] = []
        """Charges of users and groups that had no token limit when the requests began."""

    async def admit(self, principal: Principal, *, generates: bool) -> Admission:
        """As Admitter has it."""
        await self._wait_for_recovery()
        limit, token_limit, window_s = effective_limits(principal, self._settings)
        if not generates:
            token_limit = None
        if token_limit is not None:
            await self._settle(principal.user_id)
        query = _Query(principal.user_id, principal.username, limit, window_s, token_limit)
        answer: asyncio.Future[Admission] = asyncio.get_running_loop().create_future()
        if query in self._waiting:
            self._waiting[query].append(answer)
        else:
            self._waiting[query] = [answer]
            self._spawn(self._ask(query))
        try:
            return await answer
        except asyncio.CancelledError:
            # The answer may have come in the same moment; nobody will hear of it.
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
            row = await fetch(
                self._pool, _TOKENS_LEFT, (principal.user_id, principal.username, window_s, token_limit)
            )
        except DATABASE_ERRORS as error:
            raise _out_of_reach(error) from error
        return _decision(token_limit, *row)

    def give_back(self, principal: Principal, admission: Admission) -> None:
        """As Admitter has it."""
        self._give_back(principal.user_id, admission.entry)

    async def look(self, principal: Principal) -> Admission:
        """As Admitter has it."""
        await self._wait_for_recovery()
        limit, token_limit, window_s = effective_limits(principal, self._settings)
        await self._settle(principal.user_id)
        none_wanted = 0
        values = (
            new_request_id(), principal.user_id, principal.username, none_wanted, limit, window_s,
            token_limit,
        )  # fmt: skip
        try:
            _, _, *requests_row, used, wait_s, reset_s = await fetch(self._pool, _ADMIT, values)
        except DATABASE_ERRORS as error:
            raise _out_of_reach(error) from error
        tokens = None if token_limit is None else _decision(token_limit, used, wait_s, reset_s)
        return Admission(_decision(limit, *requests_row), tokens)

    def charge(self, principal: Principal, record: RequestRecord, *, again: bool = False) -> bool:
        """As Admitter has it."""
        _, token_limit, window_s = effective_limits(principal, self._settings)
        is_limited = token_limit is not None
        if (tokens := record.count_tokens()) <= 0 or (again and is_limited):
            return is_limited
        charge = _Charge(record.id, principal.user_id, principal.username, window_s, tokens)
        if is_limited:
            self._send(charge)
        elif len(self._unlimited) < MAX_UNLIMITED:
            self._unlimited.append(charge)
        return is_limited

    async def run(self) -> None:
        """Charge users and groups that were given a token limit in mid-request, until cancelled.

        A window that is opened later counts the records; one that was opened before needs a charge.
        Waiting until the records are loaded tells the two apart: the database marks those it counted.
        """
        while True:
            await asyncio.sleep(UNLIMITED_EVERY_S)
            charges, self._unlimited = self._unlimited, []
            if not charges:
                continue
            try:
                await self._log.load()
                user_ids = list({charge.user_id for charge in charges})
                (limited,) = await fetch(self._pool, _NOW_LIMITED, (user_ids,))
            except DATABASE_ERRORS:  # the log of requests says so; windows are not used meanwhile
                self._unlimited = [*charges, *self._unlimited][:MAX_UNLIMITED]
            else:
                for charge in charges:
                    if charge.user_id in limited:
                        self._send(charge)

    async def close(self) -> None:
        """Wait until pending changes have reached the database, a few seconds at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=QUERY_TIMEOUT_S)

    async def _wait_for_recovery(self) -> None:
        """Records that an earlier process left must be loaded before a window is opened from them."""
        if self._log.recovered.is_set():
            return
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_S):
                await self._log.recovered.wait()
        except TimeoutError as error:
            raise _out_of_reach(error) from error

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _send(self, charge: _Charge) -> None:
        task = self._spawn(carry_out(self._pool, _CHARGE, charge))
        self._charges.setdefault(charge.user_id, set()).add(task)
        task.add_done_callback(lambda done: self._charged(charge.user_id, done))

    def _charged(self, user_id: int, task: asyncio.Task[None]) -> None:
        charges = self._charges[user_id]
        charges.discard(task)
        if not charges:
            del self._charges[user_id]

    async def _settle(self, user_id: int) -> None:
        """Wait until this proxy's charges of a user are in the database."""
        if charges := self._charges.get(user_id):
            await asyncio.wait(set(charges), timeout=QUERY_TIMEOUT_S)

    async def _ask(self, query: _Query) -> None:
        """Ask for the requests that wait, and for those that come meanwhile, until there are none."""
        try:
            while answers := self._waiting[query]:
                self._waiting[query] = []
                await self._ask_once(query, answers)
        finally:
            # However this ends, no request may wait for a query that is not made any more.
            _fail(self._waiting.pop(query), errors.windows_unavailable())

    async def _ask_once(self, query: _Query, answers: list[asyncio.Future[Admission]]) -> None:
        user_id, username, limit, window_s, token_limit = query
        call = new_request_id()
        values = (call, user_id, username, len(answers), limit, window_s, token_limit)
        try:
            self._distribute(query, answers, await fetch(self._pool, _ADMIT, values))
        except DATABASE_ERRORS as error:
            _fail(answers, _out_of_reach(error))
            if not isinstance(error, PoolTimeout):  # it may have been carried out all the same
                self._spawn(carry_out(self._pool, _WITHDRAW, (user_id, call)))
        except Exception:
            logger.exception("requests cannot be admitted")
            _fail(answers, errors.internal())
        finally:
            _fail(answers, errors.windows_unavailable())  # cancelled

    def _distribute(
        self, query: _Query, answers: list[asyncio.Future[Admission]], row: Sequence[float]
    ) -> None:
        granted, entry, used, wait_s, reset_s, *tokens_row = row
        tokens = None
        if query.token_limit is not None:
            tokens = _decision(query.token_limit, *tokens_row)
        for number, answer in enumerate(answers, 1):
            admitted = number <= granted
            now_used = used + min(number, granted)
            requests = _decision(query.limit, now_used, wait_s, reset_s)
            requests.admitted = admitted
            admission = Admission(requests=requests, tokens=tokens, entry=entry if admitted else None)
            if not answer.done():
                answer.set_result(admission)
            elif admitted:  # its client has left
                self._give_back(query.user_id, entry)

    def _give_back(self, user_id: int, entry: object) -> None:
        self._spawn(carry_out(self._pool, _GIVE_BACK, (new_request_id(), user_id, entry)))


def _fail(answers: list[asyncio.Future[Admission]], error: errors.ApiError) -> None:
    """Give the error to the requests that have no answer yet."""
    for answer in answers:
        if not answer.done():
            answer.set_exception(error)


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
