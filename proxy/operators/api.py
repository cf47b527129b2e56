"""The admin API: finds the operation that a request means, checks its fields and runs it.

Operations on the database run in two threads of their own, on a connection of their own, which names the
administrator to the audit. None of them holds up a user's request, and no more wait than MAX_WAITING.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote

import orjson
import psycopg

from proxy.database import audit, pool
from proxy.database.schema import DATABASE_ERRORS, check_schema
from proxy.edge.body import Body, BodyMemory, check_body
from proxy.edge.request import Request
from proxy.errors import ApiError, bad_request, method_not_allowed, unknown_url
from proxy.identity.principal import Principal
from proxy.identity.user_errors import (
    GroupExists,
    GroupNotFound,
    InvitationNotFound,
    KeyNotFound,
    UserError,
    UserExists,
    UserNotFound,
)
from proxy.operators import backend_operations, errors, report_operations, user_operations
from proxy.operators.backend_operations import BACKENDS
from proxy.operators.live import Live
from proxy.operators.operation import Call, Operation
from proxy.operators.user_limits import UserLimits
from runtime.config import Config

logger = logging.getLogger(__name__)

THREADS = 2
MAX_WAITING = 32
MAX_BODY_BYTES = 65_536
STATEMENT_TIMEOUT_S = 30
LIVE = "/admin/v1/live"
USER_LIMITS = re.compile(r"/admin/v1/users/([^/]+)/limits")
OPERATIONS = (*user_operations.OPERATIONS, *report_operations.OPERATIONS, *backend_operations.OPERATIONS)


class AdminApi:
    """Answers for administrators. Close it when the last request has ended."""

    def __init__(
        self,
        database_url: str,
        *,
        config: Config,
        live: Live,
        limits: UserLimits,
        body_memory: BodyMemory,
    ) -> None:
        self._database_url = database_url
        self._config = config
        self._live = live
        self._limits = limits
        self._body_memory = body_memory
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="admin")
        self._waiting = 0

    def close(self) -> None:
        """Wait for the operations that run."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def answer(self, request: Request, principal: Principal) -> tuple[int, bytes]:
        """The status and JSON of the response.

        Raises:
            ApiError: 400, 404, 405, 409, 413 or 503.
        """
        if request.method == "GET" and (state := await self._state(request.path)) is not None:
            return 200, state
        if request.path.startswith(LIVE + "/") and request.method == "DELETE":
            return 200, _json(await self._end_request(request, principal))
        operation, path = find(request.method, request.path)
        values = operation.values_of(await self._given(request, principal))
        call = Call(
            path=path,
            values=values,
            administrator=principal.username,
            now=datetime.now(UTC),
            config=self._config,
        )
        return operation.status, _json(await self._run(operation, call))

    async def _state(self, path: str) -> bytes | None:
        """What the event loop itself knows; None if the path is of something else."""
        if path == LIVE:
            return _json(self._live.state())
        if path == BACKENDS:
            return _json({"data": self._live.backends()})
        user = USER_LIMITS.fullmatch(path)
        return await self._limits.read(unquote(user[1])) if user else None

    async def _end_request(self, request: Request, principal: Principal) -> object:
        request_id = request.path.removeprefix(LIVE + "/")
        username = self._live.end(request_id)

        def note(connection: psycopg.Connection, _: Call) -> object:
            audit.note(connection, "end request", {"request": request_id[:64]}, username=username)
            return {"ended": request_id}

        operation = Operation(method="DELETE", path=request.path, summary="", run=note)
        call = Call(
            path={}, values={}, administrator=principal.username, now=datetime.now(UTC),
            config=self._config,
        )  # fmt: skip
        return await self._run(operation, call)

    async def _given(self, request: Request, principal: Principal) -> Mapping[str, object]:
        """The fields of the query, or of the body."""
        check_body(request, MAX_BODY_BYTES)
        if request.method in ("GET", "DELETE"):
            return _query(request.target)
        body = Body(self._body_memory, principal.user_id)
        try:
            await body.read(request, MAX_BODY_BYTES)
            return _object(body.content)
        finally:
            body.leave()

    async def _run(self, operation: Operation, call: Call) -> object:
        if self._waiting >= MAX_WAITING:
            raise errors.admin_overloaded()
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._in_database, operation, call)
        except UserError as error:
            raise _translated(error) from error
        except DATABASE_ERRORS as error:
            logger.warning("the admin API cannot use the database: %s", error)
            raise errors.database_unavailable() from error
        finally:
            self._waiting -= 1

    def _in_database(self, operation: Operation, call: Call) -> object:
        application = f"llamaserve-admin/{call.administrator}"[:63]
        with (
            pool.connect(self._database_url, application=application) as connection,
            connection.transaction(),
        ):
            # Both end with the transaction: behind a pooler, others share the session.
            connection.execute(
                "SELECT set_config('statement_timeout', %s, true),"
                " set_config('application_name', %s, true)",
                [f"{STATEMENT_TIMEOUT_S}s", application],
            )
            check_schema(connection)
            return operation.run(connection, call)


def find(method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
    """The operation of a request, and what its path names.

    Raises:
        ApiError: 404 or 405.
    """
    allowed = []
    for operation in OPERATIONS:
        match = operation.pattern.fullmatch(path)
        if match is not None:
            if operation.method == method:
                return operation, {name: unquote(text) for name, text in match.groupdict().items()}
            allowed.append(operation.method)
    if path in (LIVE, BACKENDS) or USER_LIMITS.fullmatch(path):
        allowed.append("GET")
    if allowed:
        raise method_not_allowed(method, path, ", ".join(allowed))
    raise unknown_url(method, path)


def _query(target: str) -> dict[str, object]:
    query = target.partition("?")[2]
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=32)
    except ValueError as error:
        raise bad_request("The query cannot be read: write it as name=value&name=value.") from error
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise errors.invalid_field(name[:80], "is given more than once")
    return dict(pairs)


def _object(content: bytes) -> dict[str, object]:
    try:
        found = orjson.loads(content or b"{}")
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ApiError(400, "The body must be a JSON object.", code="invalid_json")
    return found


def _translated(error: UserError) -> ApiError:
    text = str(error)[:1].upper() + str(error)[1:]
    if isinstance(error, UserNotFound | GroupNotFound | KeyNotFound | InvitationNotFound):
        return errors.not_found(text)
    if isinstance(error, UserExists | GroupExists):
        return errors.already_exists(text)
    return bad_request(f"{text}.")


def _json(data: object) -> bytes:
    return orjson.dumps(data, default=str, option=orjson.OPT_UTC_Z)
