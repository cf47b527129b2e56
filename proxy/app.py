"""The application: makes the parts, opens them in order and closes them in reverse."""

from __future__ import annotations

import time
from collections import ChainMap
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Self

from psycopg_pool import AsyncConnectionPool

from proxy import errors
from proxy.background import background
from proxy.batches.service import Batches
from proxy.database.async_pool import open_pool
from proxy.dispatch.early_checks import EarlyChecks
from proxy.dispatch.settlement import Accounts, Settlements
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
from proxy.identity.authentication.authenticator import Authenticator
from proxy.identity.authentication.failed_logins import FailedLogins
from proxy.metrics.exposition import Metrics
from proxy.metrics.gauges import Parts
from proxy.metrics.request_totals import RequestTotals
from proxy.operators.api import AdminApi
from proxy.operators.endpoints import PATHS, Operators
from proxy.operators.live import Live
from proxy.operators.user_limits import UserLimits
from proxy.own_paths import OwnPaths
from proxy.ratelimit.opening import open_quotas
from proxy.ratelimit.quotas import Quotas
from proxy.ratelimit.usage_report import UsageReports
from proxy.records.access_log import AccessLog
from proxy.records.request_log import RequestLog
from proxy.records.retention import Retention
from proxy.records.spool import Spool
from proxy.scheduling.coordination import Coordination
from proxy.scheduling.turns import Turns
from proxy.settings import ProxySettings
from proxy.upstream.readiness import engine_status
from proxy.upstream.relay import Relay
from runtime.config import ROOT, Config, Origins, is_preflight

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
        if self.turns.several or self.turns.backends[0].drained:
            return self.turns.engine_available
        return (await engine_status(self._settings.all_backends[0].url)).ready

    async def _open(self, stack: AsyncExitStack) -> None:
        """Open all parts; they are closed when the last request has ended."""
        settings = self._settings
        pool = await open_pool(
            stack, settings.database_url, size=SHARED_POOL_SIZE if settings.shared else POOL_SIZE
        )
        totals = RequestTotals()
        access_log = AccessLog(totals.add_all)
        stack.callback(access_log.flush)
        log = await self._open_records(stack, pool)
        authenticator = await self._open_users(stack, pool)
        admitter = await stack.enter_async_context(open_quotas(settings, pool, log))
        relay = await self._open_engines(stack, pool)
        accounts = self._open_accounts(stack, admitter, relay, log, access_log)
        body_memory = BodyMemory(
            settings.body_memory_bytes, body_limit_bytes=settings.max_body_bytes, clock=time.monotonic
        )
        files = await self._open_batches(stack, body_memory, accounts, relay=relay, quotas=admitter)
        usage = UsageReports(admitter, settings)
        self._handler = Handler(
            settings=settings,
            authenticator=authenticator,
            admitter=admitter,
            turns=self.turns,
            relay=relay,
            early_checks=EarlyChecks(self.turns, relay),
            own_paths=OwnPaths(usage, accounts, files=files.answer, batches=self.batches.answer),
            accounts=accounts,
            running=self.running,
            slow_clients=self.slow_clients,
            body_memory=body_memory,
        )
        self._readiness = Readiness(pool, engine_answers=self._engine_answers)
        parts = Parts(
            turns=self.turns,
            authenticator=authenticator,
            request_log=log,
            pool=pool,
            connections=self._connections,
            slow_clients=self.slow_clients,
            body_memory=body_memory,
            under_way=self.running.__len__,
            started_at=time.time(),
            further=self.batches.samples,
        )
        self.operators = self._open_operators(
            stack, parts, totals, limits=UserLimits(pool, usage), flush=access_log.flush
        )

    async def _open_records(self, stack: AsyncExitStack, pool: AsyncConnectionPool) -> RequestLog:
        settings = self._settings
        log = RequestLog(pool, Spool(settings.spool_dir, limit_bytes=settings.spool_bytes))
        self.writes = WriteBatcher(log.writer)
        stack.push_async_callback(log.close)
        await stack.enter_async_context(background(log.run()))
        if settings.spool_sync_s:
            await stack.enter_async_context(background(log.sync(settings.spool_sync_s)))
        await stack.enter_async_context(background(_prune(settings, log)))
        return log

    async def _open_users(self, stack: AsyncExitStack, pool: AsyncConnectionPool) -> Authenticator:
        authenticator = Authenticator(
            pool,
            database_url=self._settings.database_url,
            on_change=self.running.end_refused,
            in_use=self.running.uses,
            failures=FailedLogins(self._settings.auth_failures_per_minute, clock=time.monotonic),
        )
        await stack.enter_async_context(background(authenticator.run()))
        return authenticator

    async def _open_engines(self, stack: AsyncExitStack, pool: AsyncConnectionPool) -> Relay:
        """Open what keeps turns, here and in other proxies, and what sends requests."""
        settings, turns = self._settings, self.turns
        await stack.enter_async_context(background(turns.run()))
        if settings.backends or settings.shared:
            coordination = Coordination(turns, pool, settings, clock=time.monotonic)
            stack.push_async_callback(coordination.close)
            await stack.enter_async_context(background(coordination.run()))
        await stack.enter_async_context(background(self.slow_clients.run()))
        broken, refused = turns.engine_broke, turns.key_refused
        relay = Relay(settings, self.writes, on_broken=broken, on_refused=refused)
        await stack.enter_async_context(relay)
        turns.on_silent = relay.give_up_silent
        return relay

    def _open_accounts(
        self,
        stack: AsyncExitStack,
        admitter: Quotas,
        relay: Relay,
        log: RequestLog,
        access_log: AccessLog,
    ) -> Accounts:
        settlements = Settlements(relay)
        stack.push_async_callback(settlements.close)
        return Accounts(
            admitter=admitter,
            turns=self.turns,
            settlements=settlements,
            request_log=log,
            access_log=access_log,
        )

    async def _open_batches(
        self,
        stack: AsyncExitStack,
        body_memory: BodyMemory,
        accounts: Accounts,
        *,
        relay: Relay,
        quotas: Quotas,
    ) -> Files:
        settings = self._settings
        pool = await open_pool(
            stack, settings.database_url, size=FILES_POOL_SIZE, application="llamaserve-batches"
        )
        files = Files(settings, pool, self.slow_clients)
        self.batches = Batches(
            settings, pool, files, body_memory,
            relay=relay, turns=self.turns, accounts=accounts, quotas=quotas,
        )  # fmt: skip
        await stack.enter_async_context(background(self.batches.run()))
        return files

    def _open_operators(
        self,
        stack: AsyncExitStack,
        parts: Parts,
        totals: RequestTotals,
        *,
        limits: UserLimits,
        flush: Callable[[], None],
    ) -> Operators:
        settings = self._settings
        under_way = ChainMap(self._handler.under_way, self.batches.under_way)
        api = AdminApi(
            settings.database_url,
            config=settings.config or Config(root=ROOT, values={}),
            live=Live(under_way=under_way, turns=self.turns),
            limits=limits,
            body_memory=parts.body_memory,
        )
        stack.callback(api.close)
        return Operators(
            settings,
            authenticator=parts.authenticator,
            metrics=Metrics(totals, parts),
            api=api,
            flush=flush,
        )


async def _prune(settings: ProxySettings, log: RequestLog) -> None:
    """Remove old records, once those of an earlier process have been loaded: they would count again."""
    await log.recovered.wait()
    await Retention(settings).run()
