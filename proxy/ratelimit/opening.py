"""Opens what keeps windows and budgets, and closes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg_pool import AsyncConnectionPool

from proxy.background import background
from proxy.ratelimit.local import LocalAdmission
from proxy.ratelimit.local_budgets import LocalBudgets
from proxy.ratelimit.quotas import Quotas
from proxy.ratelimit.shared import SharedAdmission
from proxy.ratelimit.shared_budgets import SharedBudgets
from proxy.records.request_log import RequestLog
from proxy.settings import ProxySettings


@asynccontextmanager
async def open_quotas(
    settings: ProxySettings, pool: AsyncConnectionPool, log: RequestLog
) -> AsyncIterator[Quotas]:
    """Keep quotas as the settings say: in the database that proxies share, or in this process."""
    if settings.shared:
        shared = SharedAdmission(settings=settings, pool=pool, request_log=log)
        budgets = SharedBudgets(pool, log)
        try:
            async with background(shared.run()):
                yield Quotas(shared, budgets, settings)
        finally:
            await asyncio.gather(shared.close(), budgets.close())
    else:
        local = LocalAdmission(settings=settings, request_log=log, clock=time.monotonic)
        yield Quotas(local, LocalBudgets(log, clock=time.time), settings)
