"""Receives changes of users and keys by PostgreSQL's LISTEN, which a heartbeat checks.

Triggers in the database NOTIFY every change (CHANNEL). A connection can be alive and hear nothing:
behind a pooler in transaction mode, LISTEN belongs to a connection that is another client's in the next
moment. So each heartbeat is a notification that the proxy sends from another connection and that must
arrive here. While it does not, every cached key is read anew each second.

Leaves to `authenticator.py` what a change means.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable

import psycopg
from psycopg_pool import AsyncConnectionPool

from proxy.database.pool import deadline
from proxy.database.schema import DATABASE_ERRORS, SchemaError, check_schema_async

logger = logging.getLogger(__name__)

CHANNEL = "llama_user_changed"
HEARTBEAT_CHANNEL = "llama_heartbeat"
# A change that nobody heard of is found after HEARTBEAT + PROOF + GLANCE + READ + RECONNECT at the
# latest, which together is less than the 5 s of staleness that are allowed.
HEARTBEAT_S = 1.0
PROOF_S = 1.0
"""How long a heartbeat may take to arrive; without one, also the time between two readings."""
GLANCE_S = 0.1
"""How long is looked once more: what arrived while the proxy was busy with a change is still unread."""
READ_S = 1.5
RECONNECT_S = 0.5

Refresh = Callable[[psycopg.AsyncConnection, "set[int] | None"], Awaitable[None]]
"""Reads the cached keys of these users (None: of all) anew, on that connection."""


class ChangeListener:
    """Calls `refresh` after each change. `run` must be running as a task."""

    def __init__(self, pool: AsyncConnectionPool, *, database_url: str, refresh: Refresh) -> None:
        self._pool = pool
        self._database_url = database_url
        self._refresh = refresh
        self._sender: asyncio.Task[None] | None = None
        self._sent = ""
        """The last heartbeat that the database took."""
        self._hears = True
        """Whether the last heartbeat arrived; each change is logged."""
        self._connected = False

    @property
    def in_touch(self) -> bool:
        """Whether there is a connection on which notifications arrive."""
        return self._connected and self._hears

    async def run(self) -> None:
        """Listen until cancelled; connect again whenever the connection is lost."""
        lost = False
        while True:
            try:
                await self._listen(after_loss=lost)
            except DATABASE_ERRORS as error:
                if not lost:
                    logger.warning("lost touch with the user database, trying again: %s", error)
                lost = True
            finally:
                self._connected = False
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self, *, after_loss: bool) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._database_url,
            autocommit=True,
            connect_timeout=2,
            application_name="llamaserve-proxy-listen",
            prepare_threshold=None,
        )
        async with connection:
            with deadline(connection, READ_S):
                await _report_schema(connection)
                await connection.execute(f"LISTEN {CHANNEL}")
                await connection.execute(f"LISTEN {HEARTBEAT_CHANNEL}")
            # Only now: what changed before LISTEN took hold is read, what changes after is notified.
            await self._refresh(connection, None)
            self._connected = True
            if after_loss:
                logger.warning("in touch with the user database again")
            while True:
                if await self._heartbeat(connection):
                    await self._hear(connection, HEARTBEAT_S)
                else:
                    await self._refresh(connection, None)

    async def _heartbeat(self, connection: psycopg.AsyncConnection) -> bool:
        """Whether a notification that another connection sends arrives on this one."""
        token = secrets.token_hex(8)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send(token))
        arrived = await self._hear(connection, PROOF_S, until=token)
        # One that was sent late or not at all, since all connections are in use, proves nothing.
        in_time = self._sent == token
        arrived = arrived or await self._hear(connection, GLANCE_S, until=token)
        if arrived != self._hears and (arrived or in_time):
            self._hears = arrived
            if arrived:
                logger.warning("notifications of the database arrive again")
            else:
                logger.warning(
                    "notifications of the database do not arrive, as behind a connection pooler in "
                    "transaction mode: all known keys are read anew every second. Give "
                    "LLAMA_SERVER_DATABASE_URL a direct connection or a pooler in session mode"
                )
        return arrived

    async def _send(self, token: str) -> None:
        try:
            async with self._pool.connection(timeout=PROOF_S) as connection:
                with deadline(connection, PROOF_S):
                    await connection.execute(
                        "SELECT pg_notify(%s, %s)", [HEARTBEAT_CHANNEL, token], prepare=False
                    )
            self._sent = token
        except DATABASE_ERRORS as error:
            logger.debug("the heartbeat could not be sent: %s", error)

    async def _hear(
        self, connection: psycopg.AsyncConnection, seconds: float, *, until: str | None = None
    ) -> bool:
        """Act on notifications for so long, or until that heartbeat arrives; whether it did."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            # All of them first: the connection is busy until the generator has ended.
            arrived = [n async for n in connection.notifies(timeout=left, stop_after=1)]
            changes = [n for n in arrived if n.channel != HEARTBEAT_CHANNEL]
            for change in changes:  # those that came in one packet with the heartbeat, too
                await self._refresh(connection, _user_in(change))
            if until is not None and any(
                n.channel == HEARTBEAT_CHANNEL and n.payload == until for n in arrived
            ):
                return True
        return False


def _user_in(notification: psycopg.Notify) -> set[int] | None:
    """The user that a notification is about; None, all of them, where it names none."""
    if re.fullmatch("[0-9]{1,18}", notification.payload, re.ASCII):
        return {int(notification.payload)}
    return None


async def _report_schema(connection: psycopg.AsyncConnection) -> None:
    """Log it where the schema is another program's; what can be done with it is done nevertheless."""
    try:
        await check_schema_async(connection)
    except SchemaError as error:
        logger.error("%s", error)
