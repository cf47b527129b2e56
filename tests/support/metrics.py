"""The metrics of a proxy that is not running."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import pytest
from psycopg_pool import AsyncConnectionPool

from proxy.batches.gauges import samples
from proxy.batches.progress import Progress
from proxy.batches.runner import Runner
from proxy.edge.body import BodyMemory
from proxy.edge.registry import ConnectionRegistry
from proxy.edge.slow_clients import SlowClients
from proxy.files.directory import Directory
from proxy.identity.authentication.authenticator import Authenticator
from proxy.identity.authentication.failed_logins import FailedLogins
from proxy.metrics.exposition import Metrics
from proxy.metrics.gauges import Parts
from proxy.metrics.request_totals import RequestTotals
from proxy.records.request_log import RequestLog
from proxy.records.spool import Spool
from proxy.scheduling.batch_turns import BatchTurns
from proxy.scheduling.turns import Turns
from tests.support.proxy import settings_for


def idle_metrics() -> Metrics:
    """Metrics of parts that nobody has used."""
    return asyncio.run(_idle_metrics())


async def _idle_metrics() -> Metrics:
    clock = time.monotonic
    with tempfile.TemporaryDirectory() as directory:
        settings = settings_for(
            database_url="postgresql:///none",
            backend_url="http://127.0.0.1:1",
            directory=Path(directory),
        )
        pool = AsyncConnectionPool(settings.database_url, open=False)
        spool = Spool(settings.spool_dir)
        spool.close()
        turns = Turns(settings, clock=clock)
        runner = Runner(Progress(pool), Directory(settings.files_dir), lambda _: pytest.fail("works"))
        parts = Parts(
            turns=turns,
            authenticator=Authenticator(
                pool,
                database_url=settings.database_url,
                on_change=lambda _: None,
                in_use=lambda _: False,
                failures=FailedLogins(0, clock=clock),
            ),
            request_log=RequestLog(pool, spool),
            pool=pool,
            connections=ConnectionRegistry(8),
            slow_clients=SlowClients(
                limit_bytes=1, user_limit_bytes=1, stall_timeout_s=1.0, clock=clock
            ),
            body_memory=BodyMemory(1, body_limit_bytes=1, clock=clock),
            under_way=int,
            started_at=time.time(),
            further=lambda: samples(runner, BatchTurns(turns, limit=None, clock=clock)),
        )
        return Metrics(RequestTotals(), parts)
