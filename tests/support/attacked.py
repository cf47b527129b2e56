"""A proxy to be attacked: the real one, in front of an engine that keeps every byte."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.database import schema
from proxy.database.pool import connect
from proxy.edge.limits import EdgeLimits
from proxy.identity import users
from tests.support.attacks import KEY, Attack
from tests.support.postgres import Postgres
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.raw_client import Outcome, converse
from tests.support.strict_engine import Reached, StrictEngine, strict_engine


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """A proxy, the engine behind it, and a valid key."""

    proxy: RunningProxy
    engine: StrictEngine
    key: str

    async def by(self, attack: Attack) -> tuple[Outcome, list[Reached]]:
        """Make an attack; return what came back and which requests reached the engine."""
        self.engine.reached.clear()
        sent = [part.replace(KEY, self.key.encode()) for part in attack.sent]
        if attack.piecemeal:
            sent = [bytes([byte]) for part in sent for byte in part]
        outcome = await converse(
            self.proxy.url, sent, len(attack.answers), closes=attack.closes, to_head=attack.to_head
        )
        return outcome, list(self.engine.reached)


@asynccontextmanager
async def attacked_proxy(postgres: Postgres) -> AsyncIterator[Attacked]:
    """Run such a proxy for as long as the context lasts."""
    url = postgres.fresh_database()
    with connect(url, application="tests") as connection:
        schema.migrate(connection)
        key = users.create_user(connection, username="mallory", rate_limit=10**6).key
    with tempfile.TemporaryDirectory() as folder:
        async with strict_engine() as engine:
            settings = settings_for(
                database_url=url, backend_url=engine.url, directory=Path(folder), drain_s=0.0
            )
            # Shorter than they are, so that nobody waits long for what a client does not do.
            limits = EdgeLimits(head_s=1.0, linger_s=0.2)
            async with running_proxy(settings, limits) as proxy:
                yield Attacked(proxy=proxy, engine=engine, key=key)
