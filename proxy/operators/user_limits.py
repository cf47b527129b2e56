"""What is used of a user's limits: what `GET /v1/usage` tells the user, for administrators."""

from __future__ import annotations

from psycopg_pool import AsyncConnectionPool

from proxy.database.pool import deadline
from proxy.database.schema import DATABASE_ERRORS
from proxy.identity.authentication.key_lookup import read_user
from proxy.operators import errors
from proxy.ratelimit.usage_report import UsageReports

READ_S = 5.0


class UserLimits:
    """Reads the state of users' windows and budgets."""

    def __init__(self, pool: AsyncConnectionPool, reports: UsageReports) -> None:
        self._pool = pool
        self._reports = reports

    async def read(self, username: str) -> bytes:
        """The report as JSON.

        Raises:
            ApiError: 404, there is no such user; 503, the database or the windows cannot be read.
        """
        try:
            async with self._pool.connection() as connection:
                with deadline(connection, READ_S):
                    principal = await read_user(connection, username)
        except DATABASE_ERRORS as error:
            raise errors.database_unavailable() from error
        if principal is None:
            raise errors.not_found(f"There is no user {username[:80]}")
        _, report = await self._reports.read(principal)
        return report
