"""Who sends a request: bearer keys, checked against the database once and then from memory.

Owns the cache of known keys and keeps it true: triggers in the database NOTIFY every change of a user
or key, and a lost LISTEN connection is noticed within seconds and made good by reading every cached
key anew. While the database is down, keys known to this process go on and others get a 503.
Leaves to its caller what a change means for requests under way (`on_change`).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from proxy import errors
from proxy.database.pool import deadline
from proxy.database.schema import DATABASE_ERRORS, SchemaError, check_schema_async
from proxy.identity import keys
from proxy.identity.failed_logins import FailedLogins
from proxy.identity.principal import Principal, access_error

logger = logging.getLogger(__name__)

MAX_CACHED_KEYS = 50_000
CHANNEL = "llama_user_changed"
QUERY_TIMEOUT_S = 3.0
MAX_LOOKUPS = 64
"""At a time; beyond, keys that are not cached are told to come again."""
# A silently lost LISTEN connection shows after HEARTBEAT + HEARTBEAT_TIMEOUT, and a new one follows
# within RECONNECT: together less than the 5 s of staleness that the design allows.
HEARTBEAT_S = 2.0
HEARTBEAT_TIMEOUT_S = 1.5
RECONNECT_S = 0.5
SLOW_S = 1.0
"""How long the refusal takes of an address that has sent many wrong keys."""
MAX_SLOWED = 256
"""At a time; beyond, refusals come at once, which costs less memory."""

_SELECT = """
    SELECT k.public_id, k.hash, k.id AS key_id, k.user_id, u.username, u.is_active, u.rate_limit,
           u.rate_window_seconds AS rate_window_s, u.token_limit, u.weight, u.max_concurrent,
           extract(epoch FROM k.expires_at)::float8 AS expires_at,
           k.revoked_at IS NOT NULL AS revoked
    FROM llama_api_keys k JOIN llama_users u ON u.id = k.user_id
"""


class Authenticator:
    """Turns `Authorization` headers into principals. `run` must be running as a task."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        *,
        database_url: str,
        on_change: Callable[[Iterable[Principal]], None],
        in_use: Callable[[str], bool],
        failures: FailedLogins,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`in_use` tells of a public id whether requests with that key are under way."""
        self._pool = pool
        self._in_use = in_use
        self._failures = failures
        self._database_url = database_url
        self._on_change = on_change
        self._clock = clock
        # Keys are remembered by a keyed hash: no plaintext key stays in memory.
        self._salt = os.urandom(32)
        self._cache: OrderedDict[bytes, Principal] = OrderedDict()
        self._digests: dict[str, bytes] = {}
        self._lookups: dict[bytes, asyncio.Task[Principal | None]] = {}
        self._changes = 0
        self._slowed = 0

    def known(self, header: str | None) -> Principal | None:
        """The principal of a header whose key is cached and may be used; else ask `authenticate`."""
        if header is None or header[:7] != "Bearer ":
            return None
        principal = self._cache.get(digest := self._digest(header[7:]))
        if principal is None or principal.revoked or not principal.is_active:
            return None
        if principal.expires_at is not None and self._clock() >= principal.expires_at:
            return None
        self._cache.move_to_end(digest)
        return principal

    async def authenticate(self, header: str | None, client: str) -> Principal:
        """The principal of an `Authorization` header that came from the address `client`.

        Raises:
            ApiError: 401, 403, 429 after many wrong keys from that address or, when the key is not
                known here and the database is down, 503.
        """
        key = _bearer_key(header)
        digest = self._digest(key)
        principal = self._cache.get(digest)
        if principal is None:
            principal = await self._look_up_once(key, digest, client)
        else:
            self._cache.move_to_end(digest)
        error = access_error(principal, now=self._clock(), masked=keys.mask(key))
        if error is not None:
            raise error
        return principal

    def _digest(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), key=self._salt).digest()

    async def _look_up_once(self, key: str, digest: bytes, client: str) -> Principal:
        """Look up and verify a key, once for all requests that come with it meanwhile."""
        lookup = self._lookups.get(digest)
        if lookup is None:
            # Failures are counted when they are known: any number of users may be new at a time.
            wait_s = self._failures.wait_s(client)
            if wait_s > 0:
                await self._slow_down()
                raise errors.too_many_auth_failures(wait_s)
            lookup = self._begin_lookup(key, digest, client)
        try:
            principal = await asyncio.shield(lookup)
        except DATABASE_ERRORS as error:
            raise errors.auth_unavailable() from error
        if principal is None:
            raise errors.invalid_key(keys.mask(key))
        return principal

    async def _slow_down(self) -> None:
        """Let a client wait that guesses, so that its flood takes nothing from anybody."""
        if self._slowed < MAX_SLOWED:
            self._slowed += 1
            try:
                await asyncio.sleep(SLOW_S)
            finally:
                self._slowed -= 1

    def _begin_lookup(self, key: str, digest: bytes, client: str) -> asyncio.Task[Principal | None]:
        """Start looking up a key that may be one."""
        if keys.public_id_of(key) is None:
            self._failures.note(client)
            raise errors.invalid_key(keys.mask(key))
        if len(self._lookups) >= MAX_LOOKUPS:
            raise errors.auth_unavailable()
        lookup = asyncio.create_task(self._look_up(key, digest))
        self._lookups[digest] = lookup
        lookup.add_done_callback(lambda _: self._end_lookup(lookup, digest, client))
        return lookup

    def _end_lookup(self, lookup: asyncio.Task[Principal | None], digest: bytes, client: str) -> None:
        """Take notice of how it went; those who waited may all have left."""
        del self._lookups[digest]
        if lookup.cancelled():
            return
        if (error := lookup.exception()) is not None:
            logger.warning("a key cannot be checked: %s", error)
        elif lookup.result() is None:
            self._failures.note(client)

    async def _look_up(self, key: str, digest: bytes) -> Principal | None:
        public_id = keys.public_id_of(key)
        while True:
            changes = self._changes
            async with self._pool.connection(timeout=QUERY_TIMEOUT_S) as connection:
                rows = await _select(connection, [public_id])
            if not rows:
                return None
            hash_ = rows[0].pop("hash")
            if not await asyncio.to_thread(keys.verify_key, key, hash_):
                return None
            # A change told meanwhile was not applied to this key, which was not cached yet.
            if changes == self._changes:
                principal = Principal(**rows[0])
                self._remember(digest, principal)
                return principal

    def _remember(self, digest: bytes, principal: Principal) -> None:
        self._cache[digest] = principal
        self._digests[principal.public_id] = digest
        for _ in range(len(self._cache) - MAX_CACHED_KEYS):
            digest, oldest = self._cache.popitem(last=False)
            if self._in_use(oldest.public_id):
                # A revocation must still find what runs with it.
                self._cache[digest] = oldest
            else:
                self._digests.pop(oldest.public_id, None)

    async def _refresh(
        self, connection: psycopg.AsyncConnection, wanted: set[int] | None = None
    ) -> None:
        """Read the cached keys of these users (None: of all) anew and tell of those that changed."""
        self._changes += 1
        cached = {
            principal.public_id: principal
            for principal in self._cache.values()
            if wanted is None or principal.user_id in wanted
        }
        if not cached:
            return
        rows = await _select(connection, list(cached))
        found = {row.pop("public_id"): row for row in rows}
        changed = []
        for public_id, old in cached.items():
            digest = self._digests.get(public_id)
            if digest is None:
                continue
            row = found.get(public_id)
            new = _without_hash(public_id, row) if row else _gone(old)
            if new != old:
                self._cache[digest] = new
                changed.append(new)
        if changed:
            self._on_change(changed)

    async def run(self) -> None:
        """Listen for changes until cancelled."""
        lost = False
        while True:
            try:
                await self._listen(after_loss=lost)
            except DATABASE_ERRORS as error:
                if not lost:
                    logger.warning("lost touch with the user database, trying again: %s", error)
                lost = True
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self, *, after_loss: bool) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._database_url,
            autocommit=True,
            connect_timeout=2,
            application_name="llamaserve-proxy-listen",
        )
        async with connection:
            with deadline(connection, HEARTBEAT_TIMEOUT_S):
                await _complain_of_schema(connection)
                await connection.execute(f"LISTEN {CHANNEL}")
            # Only now: what changed before LISTEN took hold is read, what changes after is told.
            # On this connection: those that wait for one of the pool must not delay a revocation.
            await self._refresh(connection)
            if after_loss:
                logger.warning("in touch with the user database again")
            while True:
                told = [n async for n in connection.notifies(timeout=HEARTBEAT_S, stop_after=1)]
                if told:
                    await self._refresh(connection, _users_in(told))
                    continue
                with deadline(connection, HEARTBEAT_TIMEOUT_S):
                    await connection.execute("SELECT 1")


async def _complain_of_schema(connection: psycopg.AsyncConnection) -> None:
    """Say so where the schema is another program's; what can be done with it is done nevertheless."""
    try:
        await check_schema_async(connection)
    except SchemaError as error:
        logger.error("%s", error)


async def _select(
    connection: psycopg.AsyncConnection, public_ids: list[str | None]
) -> list[dict[str, Any]]:
    with deadline(connection, QUERY_TIMEOUT_S):
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_SELECT + "WHERE k.public_id = ANY(%s)", [public_ids])
            return await cursor.fetchall()


def _users_in(told: list[psycopg.Notify]) -> set[int] | None:
    """The users that notifications are about; None, all of them, where one is not of ours."""
    if all(re.fullmatch("[0-9]{1,18}", notify.payload, re.ASCII) for notify in told):
        return {int(notify.payload) for notify in told}
    return None


def _bearer_key(header: str | None) -> str:
    """The token of a bearer header (RFC 6750, section 2.1); the scheme's case does not matter."""
    scheme, _, key = (header or "").strip().partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise errors.missing_key()
    return key


def _without_hash(public_id: str, row: dict[str, Any]) -> Principal:
    return Principal(public_id=public_id, **{k: v for k, v in row.items() if k != "hash"})


def _gone(old: Principal) -> Principal:
    """A key that is no longer in the database counts as revoked."""
    return Principal(**{**{name: getattr(old, name) for name in Principal.__slots__}, "revoked": True})
