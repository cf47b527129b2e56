"""The application: makes the parts, opens them in order and closes them in reverse."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import ChainMap
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Self

from psycopg_pool import AsyncConnectionPool

from proxy import errors
from proxy.batches.service import Batches
from proxy.database.async_pool import open_pool
from proxy.early_checks import EarlyChecks
from proxy.edge.body import BodyMemory
from proxy.edge.registry import ConnectionRegistry
from proxy.edge.request import Request
from proxy.edge.slow_clients import SlowClients
from proxy.edge.write_batching import WriteBatcher
from proxy.exchange import Exchange, header_lines
from proxy.files.api import Files
from proxy.handler import Handler
from proxy.health import Readiness, healthz
from proxy.identity.active_requests import ActiveRequests
from proxy.identity.authenticator import Authenticator
from proxy.identity.failed_logins import FailedLogins
from proxy.metrics.exposition import Metrics
from proxy.metrics.gauges import Parts
from proxy.metrics.request_totals import RequestTotals
from proxy.operators.api import AdminApi
from proxy.operators.endpoints import PATHS, Operators
from proxy.operators.live import Live
from proxy.own_paths import OwnPaths
from proxy.ratelimit.local import LocalAdmission
from proxy.ratelimit.local_budgets import LocalBudgets
from proxy.ratelimit.quotas import Quotas
from proxy.ratelimit.shared import SharedAdmission
from proxy.ratelimit.shared_budgets import SharedBudgets
from proxy.ratelimit.usage_report import UsageReports
from proxy.records.access_log import AccessLog
from proxy.records.request_log import RequestLog
from proxy.records.retention import Retention
from proxy.records.spool import Spool
from proxy.scheduling.coordination import Coordination
from proxy.scheduling.turns import Turns
from proxy.settings import ProxySettings
from proxy.settlement import Accounts, Settlements
from proxy.upstream.readiness import engine_status
from proxy.upstream.relay import Relay
from runtime.config import ROOT, Config, Origins, is_preflight

logger = logging.getLogger(__name__)

POOL_SIZE = 4
SHARED_POOL_SIZE = 8
"""With LLAMA_PROXY_SHARED, when each admission is a query."""
FILES_POOL_SIZE = 4
"""Of a pool of its own, so that lists of files and batches hold up no record."""
READINESS = "/readyz"
HEALTH_PATHS = ("/healthz", "/health", READINESS)
OWN_PATHS = HEALTH_PATHS + PATHS


class App:
    """The proxy's parts. An async context: they are open within it. Calling it answers a request.

    It starts without a database too, and uses one as soon as there is one.

    Raises:
        OSError: on entry, the spool cannot be written.
    """

    def __init__(self, settings: ProxySettings, connections: ConnectionRegistry) -> None:
        self._settings = settings
        self._connections = connections
        self.running = ActiveRequests()
        self._origins = Origins(settings.cors_origins)
        self.turns = Turns(settings, clock=time.monotonic)
        self.slow_clients = SlowClients(
            limit_bytes=settings.response_memory_bytes,
            user_limit_bytes=settings.user_response_memory_bytes,
            stall_timeout_s=settings.stall_timeout_s,
            clock=time.monotonic,
        )
        self.writes: WriteBatcher
        self._stack = AsyncExitStack()
        self._handler: Handler
        self._readiness: Readiness
        self.operators: Operators
        self.batches: Batches

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def __call__(self, request: Request) -> Awaitable[None]:
        """Answer a request.

        Raises:
            ConnectionError: the client has gone.
        """
        if "Origin" in request.headers:
            if is_preflight(request.method, request.headers):
                return self._answer_preflight(request)
            request.cors_headers = self._origins.headers(request.headers["Origin"])
        if request.target.startswith(OWN_PATHS):
            if request.path in HEALTH_PATHS:
                return self._answer_health(request)
            if request.target.startswith(PATHS):
                return self.operators(request)
        return self._handler(request)

    async def _answer_preflight(self, request: Request) -> None:
        """Tell a browser what pages may send. Browsers send no key with this question."""
        exchange = Exchange(request, request.client.remote)
        headers = self._origins.preflight(request.headers)
        if headers is None:
            exchange.refuse(errors.origin_not_allowed())
        else:
            exchange.response.empty(header_lines(headers) + exchange.headers())

    async def _answer_health(self, request: Request) -> None:
        exchange, method = Exchange(request, request.client.remote), request.method
        if method not in ("GET", "HEAD"):
            exchange.refuse(errors.method_not_allowed(method, exchange.path, "GET"))
        elif exchange.path == READINESS:
            await self._readiness(exchange)
        else:
            healthz(exchange)

    async def _engine_answers(self) -> bool:
        """Whether an engine can be used right now; several are asked every second anyway."""
        if self.turns.several:
            return self.turns.engine_available
        return (await engine_status(self._settings.all_backends[0].url)).ready

    async def _open(self, stack: AsyncExitStack) -> None:
        """Open all parts; they are closed when the last request has ended."""
        settings, running, turns = self._settings, self.running, self.turns
        totals = RequestTotals()
        access_log = AccessLog(totals.add_all)
        stack.callback(access_log.flush)
        url = settings.database_url
        pool = await open_pool(stack, url, size=SHARED_POOL_SIZE if settings.shared else POOL_SIZE)
        spool = Spool(settings.spool_dir, limit_bytes=settings.spool_bytes)
        log = RequestLog(pool, spool)
        self.writes = WriteBatcher(log.writer)
        stack.push_async_callback(log.close)
        await stack.enter_async_context(_background(log.run()))
        if settings.spool_sync_s:
            await stack.enter_async_context(_background(log.sync(settings.spool_sync_s)))
        await stack.enter_async_context(_background(_prune(settings, log)))
        authenticator = Authenticator(
            pool,
            database_url=settings.database_url,
            on_change=running.end_refused,
            in_use=running.uses,
            failures=FailedLogins(settings.auth_failures_per_minute, clock=time.monotonic),
        )
        await stack.enter_async_context(_background(authenticator.run()))
        admitter = await stack.enter_async_context(_admitter(settings, pool, log))
        await stack.enter_async_context(_background(turns.run()))
        if turns.several or settings.shared:
            coordination = Coordination(turns, pool, shared=settings.shared, clock=time.monotonic)
            stack.push_async_callback(coordination.close)
            await stack.enter_async_context(_background(coordination.run()))
        await stack.enter_async_context(_background(self.slow_clients.run()))
        relay = await stack.enter_async_context(
            Relay(settings, self.writes, on_broken=turns.engine_broke)
        )
        turns.on_silent = relay.give_up_silent
        settlements = Settlements(relay)
        stack.push_async_callback(settlements.close)
        accounts = Accounts(
            admitter=admitter,
            turns=turns,
            settlements=settlements,
            request_log=log,
            access_log=access_log,
        )
        self._readiness = Readiness(pool, engine_answers=self._engine_answers)
        body_memory = BodyMemory(
            settings.body_memory_bytes, body_limit_bytes=settings.max_body_bytes, clock=time.monotonic
        )
        parts = Parts(
            turns=turns,
            authenticator=authenticator,
            request_log=log,
            pool=pool,
            connections=self._connections,
            slow_clients=self.slow_clients,
            body_memory=body_memory,
            under_way=running.__len__,
            started_at=time.time(),
            further=lambda: self.batches.samples(),  # noqa: PLW0108 - it is made later
        )
        files_pool = await open_pool(stack, url, size=FILES_POOL_SIZE, application="llamaserve-batches")
        files = Files(settings, files_pool, self.slow_clients)
        self.batches = batches = Batches(
            settings, files_pool, files, body_memory,
            relay=relay, turns=turns, accounts=accounts, quotas=admitter,
        )  # fmt: skip
        await stack.enter_async_context(_background(batches.run()))
        usage = UsageReports(admitter, settings)
        self._handler = Handler(
            settings=settings,
            authenticator=authenticator,
            admitter=admitter,
            turns=turns,
            relay=relay,
            early_checks=EarlyChecks(turns, relay),
            own_paths=OwnPaths(usage, accounts, files=files.answer, batches=batches.answer),
            accounts=accounts,
            running=running,
            slow_clients=self.slow_clients,
            body_memory=body_memory,
        )
        api = AdminApi(
            settings.database_url,
            config=settings.config or Config(root=ROOT, values={}),
            live=Live(under_way=ChainMap(self._handler.under_way, batches.under_way), turns=turns),
            body_memory=body_memory,
        )
        stack.callback(api.close)
        self.operators = Operators(
            settings,
            authenticator=authenticator,
            metrics=Metrics(totals, parts),
            api=api,
            flush=access_log.flush,
        )


async def _prune(settings: ProxySettings, log: RequestLog) -> None:
    """Remove old records, once those of an earlier process have been loaded: they would count again."""
    await log.recovered.wait()
    await Retention(settings).run()


@asynccontextmanager
async def _admitter(
    settings: ProxySettings, pool: AsyncConnectionPool, log: RequestLog
) -> AsyncIterator[Quotas]:
    if settings.shared:
        shared = SharedAdmission(settings=settings, pool=pool, request_log=log)
        budgets = SharedBudgets(pool, log)
        try:
            async with _background(shared.run()):
                yield Quotas(shared, budgets, settings)
        finally:
            await asyncio.gather(shared.close(), budgets.close())
    else:
        local = LocalAdmission(settings=settings, request_log=log, clock=time.monotonic)
        yield Quotas(local, LocalBudgets(log, clock=time.time), settings)


@asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run a task for as long as the context lasts. It must not end by itself."""
    task = asyncio.create_task(work)
    task.add_done_callback(_report)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("a background task died; the process ends itself", exc_info=error)
        # The supervisor starts a new one, which is better than a proxy that records nothing.
        os.kill(os.getpid(), signal.SIGTERM)
