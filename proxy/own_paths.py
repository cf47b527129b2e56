"""Answers the paths that the proxy serves by itself, for users: usage, files and batches.

Such a request counts against no limit. What a user may have under way is bounded here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from proxy.batches.api import BATCHES
from proxy.database.schema import DATABASE_ERRORS
from proxy.dispatch.settlement import Accounts
from proxy.edge.body import check_body
from proxy.errors import overloaded
from proxy.exchange import Exchange
from proxy.files import errors
from proxy.files.api import FILES
from proxy.ratelimit.usage_report import UsageReports
from proxy.upstream.routes import USAGE, route_of

logger = logging.getLogger(__name__)

OWN_PATHS = (USAGE, FILES, BATCHES)
"""How the paths begin that are answered here."""
MAX_UNDER_WAY = 16
"""Requests of one user for files and batches."""
Answer = Callable[[Exchange], Awaitable[bytes | None]]
"""Returns the JSON of a response; None where it has been sent."""


class OwnPaths:
    """Answers requests whose target begins with one of OWN_PATHS."""

    def __init__(
        self, usage_reports: UsageReports, accounts: Accounts, *, files: Answer, batches: Answer
    ) -> None:
        self._usage_reports = usage_reports
        self._accounts = accounts
        self._answers: dict[str, Answer] = {FILES: files, BATCHES: batches}
        self._under_way: Counter[int] = Counter()

    async def __call__(self, exchange: Exchange) -> None:
        """Answer a request of a user who is known.

        Raises:
            ApiError: it is refused.
            ConnectionError: the client has gone.
        """
        request = exchange.request
        beginning = "/".join(request.path.split("/")[:3])
        answer = self._answers.get(beginning)
        if answer is None:
            exchange.route = route_of(request.method, request.path)
            check_body(request, 0)
            exchange.admission, body = await self._usage_reports.read(exchange.principal)
        else:
            found = await self._bounded(answer, exchange)
            if found is None:
                self._accounts.end(exchange)
                return
            body = found
        response = exchange.response
        response.whole(HTTPStatus.OK, exchange.headers(), body)
        response.response_bytes = len(body)
        self._accounts.end(exchange, HTTPStatus.OK)

    async def _bounded(self, answer: Answer, exchange: Exchange) -> bytes | None:
        user_id = exchange.principal.user_id
        if self._under_way[user_id] >= MAX_UNDER_WAY:
            raise overloaded(waiting=MAX_UNDER_WAY, of_user=True, retry_after_s=1.0)
        self._under_way[user_id] += 1
        try:
            return await answer(exchange)
        except ConnectionError:
            raise
        except DATABASE_ERRORS as error:
            logger.warning("files and batches cannot use the database: %s", error)
            raise errors.database_unavailable() from error
        finally:
            self._under_way[user_id] -= 1
            if not self._under_way[user_id]:
                del self._under_way[user_id]
