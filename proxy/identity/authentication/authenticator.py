"""Who sends a request: keys, checked against the database once and then from memory.

Owns the cache of known keys. `change_listener.py` keeps it true: it calls `_refresh` for every change of
a user or key. While the database is down, keys known to this process go on and others get a 503.

Wrong keys shut out nobody: a well-formed key is looked up and verified whatever else its address has
sent, also for the same public id. Failures only slow down the refusal of wrong keys
(`failed_logins.py`), and verifications are dealt in turn (`fair_threads.py`).

Leaves to its caller what a change means for requests under way (`on_change`).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg_pool import AsyncConnectionPool

from proxy import errors
from proxy.addresses import client_network
from proxy.database.schema import DATABASE_ERRORS
from proxy.identity import keys
from proxy.identity.authentication.change_listener import READ_S, ChangeListener
from proxy.identity.authentication.failed_logins import FailedLogins
from proxy.identity.authentication.fair_threads import FairThreads
from proxy.identity.authentication.key_lookup import KeyLookup, Row, read_keys
from proxy.identity.principal import Principal, access_error

logger = logging.getLogger(__name__)

MAX_CACHED_KEYS = 50_000
VERIFIED_AT_A_TIME = 2
"""Secrets; each takes about a millisecond of a core."""
SLOW_S = 1.0
"""How long the refusal of an address takes that has sent many wrong keys."""
MAX_SLOWED = 256
"""Refusals that are slowed at a time; further ones come at once, which costs less memory."""


@dataclass(frozen=True, slots=True)
class _WrongKey:
    """The outcome of a lookup that found no such key."""

    wait_s: float
    """Above 0 where this address had failed too often before."""


@dataclass(frozen=True, slots=True)
class _CachedKey:
    """Where a public id stands in the cache, and what its hash was when it was verified."""

    digest: bytes
    hash: str


class Authenticator:
    """Turns keys into principals. `run` must be running as a task."""

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
        self._lookup = KeyLookup(pool)
        self._listener = ChangeListener(pool, database_url=database_url, refresh=self._refresh)
        self._in_use = in_use
        self._failures = failures
        self._on_change = on_change
        self._clock = clock
        # Keys are remembered by a keyed hash: no plaintext key stays in memory.
        self._salt = os.urandom(32)
        self._cache: OrderedDict[bytes, Principal] = OrderedDict()
        self._cached: dict[str, _CachedKey] = {}
        """By public id."""
        self._verifications: dict[bytes, asyncio.Task[Principal | _WrongKey]] = {}
        self._threads = FairThreads(VERIFIED_AT_A_TIME)
        self._changes = 0
        self._slowed = 0
        self.refused_guesses = 0
        """Requests that got a 429 because of many wrong keys before. They have no records."""

    @property
    def hears_changes(self) -> bool:
        """Whether the database is in touch and its notifications arrive."""
        return self._listener.in_touch

    async def run(self) -> None:
        """Keep the cache true until cancelled."""
        await self._listener.run()

    def known(self, header: str | None) -> Principal | None:
        """The principal of an `Authorization` header whose key is cached and may be used, else None.

        Whoever gets None asks `authenticate`.
        """
        if header is None or header[:7] != "Bearer ":
            return None
        principal = self._cache.get(digest := self._digest(header[7:]))
        if principal is None or principal.revoked or not principal.is_active:
            return None
        if principal.expires_at is not None and self._clock() >= principal.expires_at:
            return None
        self._cache.move_to_end(digest)
        return principal

    async def authenticate(self, key: str, client: str) -> Principal:
        """The principal of a key that came from the address `client`.

        Raises:
            ApiError: 401, 403, 429 after many wrong keys from that address or, when the key is not
                known here and the database is down, 503.
        """
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
        verification = self._verifications.get(digest)
        if verification is None:
            verification = await self._begin_verification(key, digest, client)
        try:
            outcome = await asyncio.shield(verification)
        except DATABASE_ERRORS as error:
            raise errors.auth_unavailable() from error
        if isinstance(outcome, _WrongKey):
            await self._refuse_for(outcome.wait_s)
            raise errors.invalid_key(keys.mask(key))
        return outcome

    async def _refuse_for(self, wait_s: float) -> None:
        """Refuse a guess after many others, slowly, so that a flood of them takes nothing from anybody.

        Raises:
            ApiError: 429, unless `wait_s` is 0.
        """
        if wait_s <= 0:
            return
        if self._slowed < MAX_SLOWED:
            self._slowed += 1
            try:
                await asyncio.sleep(SLOW_S)
            finally:
                self._slowed -= 1
        self.refused_guesses += 1
        raise errors.too_many_auth_failures(wait_s)

    async def _begin_verification(
        self, key: str, digest: bytes, client: str
    ) -> asyncio.Task[Principal | _WrongKey]:
        """Start to verify a key that has the form of one."""
        public_id = keys.public_id_of(key)
        if public_id is None:
            await self._refuse_for(self._failures.note(client))
            raise errors.invalid_key(keys.mask(key))
        verification = asyncio.create_task(self._verify(key, public_id, digest, client))
        self._verifications[digest] = verification
        verification.add_done_callback(lambda task: self._end_verification(task, digest))
        return verification

    def _end_verification(self, task: asyncio.Task[Principal | _WrongKey], digest: bytes) -> None:
        """Remove a finished verification and log its failure: its waiters may all have left."""
        del self._verifications[digest]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("a key cannot be checked: %s", error)

    async def _verify(
        self, key: str, public_id: str, digest: bytes, client: str
    ) -> Principal | _WrongKey:
        while True:
            changes = self._changes
            row = await self._lookup.find(public_id)
            if row is None:
                return _WrongKey(self._failures.note(client))
            verify = partial(keys.verify_key, key, row["hash"])
            if not await self._threads.run((client_network(client), public_id), verify):
                return _WrongKey(self._failures.note(client, public_id))
            # A change told meanwhile was not applied to this key, which was not cached yet.
            if changes == self._changes:
                principal = _principal(row)
                self._remember(digest, principal, row["hash"])
                return principal

    def _remember(self, digest: bytes, principal: Principal, hash_: str) -> None:
        self._cache[digest] = principal
        self._cached[principal.public_id] = _CachedKey(digest, hash_)
        for _ in range(len(self._cache) - MAX_CACHED_KEYS):
            digest, oldest = self._cache.popitem(last=False)
            if self._in_use(oldest.public_id):
                # A revocation must still find what runs with it.
                self._cache[digest] = oldest
            else:
                self._cached.pop(oldest.public_id, None)

    async def _refresh(
        self, connection: psycopg.AsyncConnection, user_ids: set[int] | None = None
    ) -> None:
        """Read the cached keys of these users (None: of all) anew and tell of those that changed."""
        self._changes += 1
        old = {
            principal.public_id: principal
            for principal in self._cache.values()
            if user_ids is None or principal.user_id in user_ids
        }
        if not old:
            return
        rows = await read_keys(connection, list(old), timeout_s=READ_S)
        changed = [
            new
            for public_id, principal in old.items()
            if (new := self._update(principal, rows.get(public_id))) is not None
        ]
        if changed:
            self._on_change(changed)

    def _update(self, old: Principal, row: Row | None) -> Principal | None:
        """Take over what the database says of a cached key; the new principal if it has changed."""
        cached = self._cached.get(old.public_id)
        if cached is None:
            return None
        if row is not None and row["hash"] != cached.hash:
            # Another secret: whoever comes with either is verified anew.
            self._cache.pop(cached.digest, None)
            del self._cached[old.public_id]
            return _revoked(old)
        new = _revoked(old) if row is None else _principal(row)
        if new == old:
            return None
        self._cache[cached.digest] = new
        return new


def _principal(row: Row) -> Principal:
    return Principal(**{name: value for name, value in row.items() if name != "hash"})


def _revoked(old: Principal) -> Principal:
    """A key that is no longer in the database counts as revoked."""
    return Principal(**{**{name: getattr(old, name) for name in Principal.__slots__}, "revoked": True})
