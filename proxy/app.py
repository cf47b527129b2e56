"""The application: its parts, opened in order and closed in reverse, and its routes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from aiohttp import web
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from proxy import framing
from proxy.admission import Admitter
from proxy.auth import Authenticator
from proxy.auth_failures import AuthFailures
from proxy.body import BodyMemory
from proxy.config import ProxySettings
from proxy.connection import connection_of
from proxy.db import deadline
from proxy.errors import ApiError
from proxy.handler import Handler
from proxy.health import Readiness, healthz
from proxy.local_admission import LocalAdmission
from proxy.relay import Relay
from proxy.request_log import RequestLog
from proxy.retention import Retention
from proxy.running import Running
from proxy.shared_admission import SharedAdmission
from proxy.spool import Spool
from proxy.stalls import Stalls
from proxy.turns import Turns

logger = logging.getLogger(__name__)

POOL_SIZE = 4
SHARED_POOL_SIZE = 8
"""Where each admission is a question to the database."""
POOL_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 3
CHECK_TIMEOUT_S = 1.0
# Whoever needs a connection tries again anyway; the pool's own back-off would double up to minutes.
RECONNECT_TIMEOUT_S = 1.0

SETTINGS = web.AppKey("settings", ProxySettings)
RUNNING = web.AppKey("running", Running)
HANDLER = web.AppKey("handler", Handler)
TURNS = web.AppKey("turns", Turns)
READINESS = web.AppKey("readiness", Readiness)


def create_app(settings: ProxySettings) -> web.Application:
    """The proxy as an aiohttp application. `proxy.server.ProxyServer` runs it.

    It starts without a database too, and takes up its work when one comes.
    """
    app = web.Application(middlewares=[_check_framing])
    app[SETTINGS] = settings
    app[RUNNING] = Running()
    app.on_response_prepare.append(_announce_close)
    app.router.add_get("/healthz", healthz, expect_handler=_expect)
    app.router.add_get("/readyz", _ready, expect_handler=_expect)
    # One route for the rest: which paths there are is decided after the key has been checked.
    app.router.add_route("*", r"/{path:[\s\S]*}", _handle, expect_handler=_expect)
    app.cleanup_ctx.append(_parts)
    return app


@web.middleware
async def _check_framing(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        framing.check(request)
    except ApiError as error:
        connection_of(request).log_refusal(error)
        return framing.Refusal(error)
    return await handler(request)


async def _announce_close(request: web.Request, response: web.StreamResponse) -> None:
    if connection_of(request).closes_after(request, response):
        response.headers["Connection"] = "close"
        response.force_close()


async def _expect(_: web.Request) -> None:
    """Not yet: a client that waits for 100 (Continue) gets it when its body is wanted (`read_body`)."""


async def _ready(request: web.Request) -> web.Response:
    return await request.app[READINESS](request)


async def _handle(request: web.Request) -> web.StreamResponse:
    return await request.app[HANDLER](request)


async def _parts(app: web.Application) -> AsyncIterator[None]:
    """Open all parts; close them when the last request has ended."""
    settings, running = app[SETTINGS], app[RUNNING]
    async with AsyncExitStack() as stack:
        pool = _pool(settings)
        await pool.open(wait=False)
        stack.push_async_callback(pool.close, timeout=2.0)
        log = RequestLog(pool, Spool(settings.spool_dir, limit_bytes=settings.spool_bytes))
        stack.push_async_callback(log.close)
        await stack.enter_async_context(_background(log.run()))
        if settings.spool_sync_s:
            await stack.enter_async_context(_background(log.sync(settings.spool_sync_s)))
        await stack.enter_async_context(_background(Retention(settings).run()))
        authenticator = Authenticator(
            pool,
            database_url=settings.database_url,
            on_change=running.end_refused,
            in_use=running.uses,
            failures=AuthFailures(settings.auth_failures_per_minute, clock=time.monotonic),
        )
        await stack.enter_async_context(_background(authenticator.run()))
        admitter = await stack.enter_async_context(_admitter(settings, pool, log))
        app[TURNS] = turns = Turns(settings, clock=time.monotonic)
        await stack.enter_async_context(_background(turns.run()))
        stalls = Stalls(settings.stall_timeout_s, clock=time.monotonic)
        await stack.enter_async_context(_background(stalls.run()))
        relay = await stack.enter_async_context(Relay(settings, on_broken=turns.engine_broke))
        app[READINESS] = Readiness(pool, backend_url=settings.backend_url)
        app[HANDLER] = Handler(
            settings=settings,
            authenticator=authenticator,
            admitter=admitter,
            turns=turns,
            relay=relay,
            request_log=log,
            running=running,
            stalls=stalls,
            body_memory=BodyMemory(settings.body_memory_bytes, body_limit_bytes=settings.max_body_bytes),
        )
        yield


def _pool(settings: ProxySettings) -> AsyncConnectionPool:
    return AsyncConnectionPool(
        settings.database_url,
        min_size=1,
        max_size=SHARED_POOL_SIZE if settings.shared else POOL_SIZE,
        timeout=POOL_TIMEOUT_S,
        reconnect_timeout=RECONNECT_TIMEOUT_S,
        # A restarted database leaves dead connections here: nobody should be given one.
        check=_check,
        open=False,
        kwargs={
            "autocommit": True,
            "application_name": "llamaserve-proxy",
            "connect_timeout": CONNECT_TIMEOUT_S,
        },
    )


@asynccontextmanager
async def _admitter(
    settings: ProxySettings, pool: AsyncConnectionPool, log: RequestLog
) -> AsyncIterator[Admitter]:
    if settings.shared:
        shared = SharedAdmission(settings=settings, pool=pool)
        try:
            yield shared
        finally:
            await shared.close()
    else:
        yield LocalAdmission(settings=settings, request_log=log, clock=time.monotonic)


async def _check(connection: AsyncConnection) -> None:
    with deadline(connection, CHECK_TIMEOUT_S):
        await AsyncConnectionPool.check_connection(connection)


@asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run a task for as long as the context lasts; its death, which has no business to be, is loud."""
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
