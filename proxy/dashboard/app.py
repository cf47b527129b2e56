"""The application: makes the parts, opens them in order, closes them in reverse."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from fastapi import FastAPI
from nicegui import core, ui
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from proxy.background import background
from proxy.dashboard.access.guard import Guard
from proxy.dashboard.access.login import Login
from proxy.dashboard.access.plain_page import plain_page
from proxy.dashboard.access.sessions import MAX_PAGES_PER_USER, Sessions
from proxy.dashboard.access.sockets import SocketEvents
from proxy.dashboard.console.jobs import Jobs
from proxy.dashboard.console.runner import Console
from proxy.dashboard.data.api_requests import ApiRequests, Models
from proxy.dashboard.data.cached import Cached
from proxy.dashboard.data.database import Database
from proxy.dashboard.data.live import LiveState
from proxy.dashboard.layout.frame import CLOSED, add_pages
from proxy.dashboard.layout.template import add_nonces
from proxy.dashboard.pages import PAGES
from proxy.dashboard.pages.downloads import Downloads
from proxy.dashboard.pages.invitation import InvitationPage
from proxy.dashboard.services import Services
from proxy.dashboard.settings import DashboardSettings
from proxy.database.async_pool import open_pool
from proxy.identity.authentication.authenticator import Authenticator
from proxy.identity.authentication.failed_logins import FailedLogins
from proxy.log_format import LineLimit

ASSETS = Path(__file__).parent / "layout" / "assets"
MINUTES_FRESH_S = 4.5
FAILURES_PER_S = 5
"""Failures of pages that the log tells."""
BATCHES_FRESH_S = 1.5
RECONNECT_S = 20.0
"""A page waits so long for its next connection, and 1.2 times as long until a silent one is given up."""
HISTORY = 300
"""Messages that are kept for the next connection: a chat sends 10 a second."""


@asynccontextmanager
async def open_dashboard(settings: DashboardSettings) -> AsyncIterator[Guard]:
    """The dashboard as an ASGI application, open for as long as the context lasts."""
    async with AsyncExitStack() as stack:
        services = await _services(settings, stack)
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.router.routes += [
            *Login(settings, services.sessions, services.authenticator).routes(),
            *InvitationPage(
                settings,
                services.database,
                FailedLogins(settings.auth_failures_per_minute, clock=time.monotonic),
            ).routes(),
            *Downloads(services.api).routes(),
            Route(CLOSED, _closed),
            Route("/healthz", _healthz),
        ]
        app.mount("/assets", StaticFiles(directory=ASSETS))
        add_pages(PAGES, services)
        _add_nicegui(app, services.sessions)
        # uvicorn runs the lifespan of what it serves; here it must end before the parts do.
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield Guard(app, services.sessions)


async def _services(settings: DashboardSettings, stack: AsyncExitStack) -> Services:
    pool = await open_pool(stack, settings.database_url, size=2, application="llamaserve-dashboard")
    sessions = Sessions()
    authenticator = Authenticator(
        pool,
        database_url=settings.database_url,
        on_change=sessions.note_changes,
        in_use=sessions.uses,
        failures=FailedLogins(settings.auth_failures_per_minute, clock=time.monotonic),
    )
    await stack.enter_async_context(background(authenticator.run()))
    await stack.enter_async_context(background(sessions.run()))
    database = Database(settings.database_url)
    stack.callback(database.close)
    http = await stack.enter_async_context(_http())
    console, jobs = Console(settings.config.root), Jobs(settings.config.root)
    stack.push_async_callback(console.close)
    stack.push_async_callback(jobs.close)
    return Services(
        settings=settings,
        sessions=sessions,
        authenticator=authenticator,
        database=database,
        live=LiveState(http, settings),
        minutes=Cached(MINUTES_FRESH_S),
        batches=Cached(BATCHES_FRESH_S),
        http=http,
        api=ApiRequests(http, settings.proxy_url),
        models=Models(http, settings.engines),
        console=console,
        jobs=jobs,
    )


def _http() -> aiohttp.ClientSession:
    # The proxy's certificate may name other hosts than this machine, on which it is asked.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=64))


def _add_nicegui(app: FastAPI, sessions: Sessions) -> None:
    add_nonces()
    SocketEvents(core.sio, sessions.user_of).bind()
    # A page may send what makes a handler fail, again and again.
    lines = LineLimit(FAILURES_PER_S, clock=time.monotonic)
    logging.getLogger("nicegui").addFilter(lambda _: lines.take() is not None)
    core.sio.eio.transports = ["websocket"]
    core.sio.eio.cors_allowed_origins = None
    core.app.config.socket_io_js_transports = ["websocket"]
    # NiceGUI's own would be pages that belong to no session, whose sockets are refused.
    core.app.add_exception_handler(404, _not_found)
    core.app.add_exception_handler(Exception, _failed)
    ui.run_with(
        app,
        title="Llamaserve",
        favicon=ASSETS / "icon.svg",
        dark=None,
        tailwind=False,
        show_welcome_message=False,
        binding_refresh_interval=None,
        message_history_length=HISTORY,
        reconnect_timeout=RECONNECT_S,
    )


async def _not_found(_: Request, __: Exception) -> Response:
    return plain_page(
        "error.html", 404, title="There is no such page", text="The address may be mistyped."
    )


async def _failed(_: Request, __: Exception) -> Response:
    # uvicorn logs the error, which goes on to it.
    return plain_page(
        "error.html", 500, title="This page failed", text="The dashboard's log has the reason."
    )


async def _closed(_: Request) -> Response:
    # A page that led back to itself would close the next one.
    return plain_page(
        "error.html",
        title="This page was closed",
        text=f"You have opened others since: {MAX_PAGES_PER_USER} may be open at a time.",
    )


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok\n")
