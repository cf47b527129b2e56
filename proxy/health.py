"""`/healthz`: this process is alive. `/readyz`: the database and the engine are there as well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import orjson
from psycopg_pool import AsyncConnectionPool

from proxy.database.schema import DATABASE_ERRORS
from proxy.exchange import Exchange
from proxy.upstream.readiness import CHECK_TIMEOUT_S

KEEP_S = 1.0
"""How long a result is kept: these routes need no key and must cost nothing to be flooded."""


def healthz(exchange: Exchange) -> None:
    """200 as long as the process responds at all."""
    _answer(exchange, {"status": "ok"})


class Readiness:
    """Checks what the proxy depends on, at most once a second, however many clients ask."""

    def __init__(
        self, pool: AsyncConnectionPool, *, engine_answers: Callable[[], Awaitable[bool]]
    ) -> None:
        self._pool = pool
        self._engine_answers = engine_answers
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._state = {"database": False, "engine": False}

    async def __call__(self, exchange: Exchange) -> None:
        """200 if the database and the engine are there, else 503; the body says which is missing."""
        async with self._lock:
            if time.monotonic() - self._checked_at > KEEP_S:
                database, engine = await asyncio.gather(self._database(), self._engine_answers())
                self._state = {"database": database, "engine": engine}
                self._checked_at = time.monotonic()
        ready = all(self._state.values())
        _answer(exchange, {"status": "ok" if ready else "unavailable", **self._state}, ready=ready)

    async def _database(self) -> bool:
        try:
            async with (
                asyncio.timeout(CHECK_TIMEOUT_S),
                self._pool.connection(timeout=CHECK_TIMEOUT_S) as connection,
            ):
                await connection.execute("SELECT 1 FROM llama_users LIMIT 1")
        except DATABASE_ERRORS:
            return False
        return True


def _answer(exchange: Exchange, state: dict[str, object], *, ready: bool = True) -> None:
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    exchange.response.whole(status, exchange.headers(), orjson.dumps(state))
