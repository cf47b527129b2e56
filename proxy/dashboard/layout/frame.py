"""The frame round every page: header, navigation, theme, help for the keyboard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable

from nicegui import Client, ui
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from proxy.dashboard.access.sessions import Session, Sessions, SessionsFull
from proxy.dashboard.layout.page import Page, View
from proxy.dashboard.services import Services

_HEAD = (
    '<link rel="stylesheet" href="/assets/dashboard.css">'
    '<link rel="stylesheet" href="/assets/pages.css">'
    '<script src="/assets/pages.js" defer></script>'
    '<script src="/assets/dashboard.js" defer></script>'
)
_KEYS = (
    ("/", "search, on pages that have a search field"),
    ("1 … 8", "go to a page"),
    ("t", "light or dark"),
    ("?", "this list"),
    ("Esc", "close"),
)
_CLOSE_AFTER_S = 1.0
CLOSED = "/closed"
"""Where the browser goes from a page that was closed for a newer one."""


def add_pages(pages: Sequence[Page], services: Services) -> None:
    """Register the pages with NiceGUI."""
    for page in pages:
        route = ui.page(page.path, title=f"{page.title} · Llamaserve", dark=None, response_timeout=15)
        route(_builder(page, pages, services))


def _builder(
    page: Page, pages: Sequence[Page], services: Services
) -> Callable[[Request, Client], Awaitable[Response | None]]:
    async def build(request: Request, client: Client) -> Response | None:
        session: Session = request.state.session
        try:
            bind_page(services.sessions, session, client)
        except SessionsFull:
            client.delete()
            return PlainTextResponse("Too many pages are open. Please try again later.\n", 503)
        view = View(session=session, services=services, client=client, query=dict(request.query_params))
        ui.add_head_html(_HEAD)
        ui.colors(primary="#2f6f5e", negative="#b3261e", positive="#2f6f5e", dark="#1a2028",
                  dark_page="#12161c")  # fmt: skip
        _frame(page, pages, view, theme=request.cookies.get("llamaserve_theme", ""))
        with ui.column().classes("page"):
            if page.admin_only and not session.is_admin:
                client.status_code = 403
                ui.label("Only administrators can see this page.").classes("empty")
                return None
            outcome = page.build(view)
            if isawaitable(outcome):
                await outcome
        return None

    return build


def bind_page(sessions: Sessions, session: Session, client: Client) -> None:
    """Let the page end with its session, or for a newer one.

    Raises:
        SessionsFull: too many pages are open.
    """
    loop = asyncio.get_running_loop()

    def delete() -> None:
        if not client.is_deleted:
            client.delete()

    def close() -> None:
        if not client.is_deleted:
            client.open("/login?ended=1" if session.ended.is_set() else CLOSED)
            loop.call_later(_CLOSE_AFTER_S, delete)

    sessions.open_page(session, client.id, close)
    client.on_delete(lambda: session.pages.pop(client.id, None))


def _frame(page: Page, pages: Sequence[Page], view: View, *, theme: str) -> None:
    ui.dark_mode({"dark": True, "light": False}.get(theme))
    with ui.header(elevated=False).classes("bar"):
        menu = ui.button(icon="menu").props('flat round dense aria-label="Menu"').classes("menu-button")
        with ui.link(target="/").classes("brand"):
            ui.element("img").props('src=/assets/icon.svg alt="" width=26 height=26')
            ui.label("Llamaserve")
        ui.space()
        ui.label(view.username).classes("who")
        if view.is_admin:
            ui.label("admin").classes("tag")
        ui.button(icon="contrast").props('flat round dense id=theme aria-label="Light or dark (t)"')
        help_ = ui.button(icon="keyboard").props('flat round dense id=keys aria-label="Keys (?)"')
        with ui.element("form").props("method=post action=/logout"):
            ui.button(icon="logout").props('flat round dense type=submit aria-label="Log out"')
    drawer = ui.left_drawer(value=False).classes("side")
    drawer.props("show-if-above breakpoint=900 width=200 bordered")
    with drawer, ui.element("nav"):
        for number, other in enumerate(pages, start=1):
            if not other.admin_only or view.is_admin:
                _link(other, number, is_here=other is page)
    menu.on_click(drawer.toggle)
    help_.on_click(_key_help().open)


def _link(page: Page, number: int, *, is_here: bool) -> None:
    with ui.link(target=page.path).classes("nav").props(f"data-key={number}") as link:
        ui.icon(page.icon)
        ui.label(page.title)
    if is_here:
        link.classes("here").props("aria-current=page")


def _key_help() -> ui.dialog:
    with ui.dialog() as dialog, ui.card().classes("keys"):
        ui.label("Keys").classes("heading")
        for key, meaning in _KEYS:
            with ui.row().classes("key-line"):
                with ui.element("kbd"):
                    ui.label(key)
                ui.label(meaning)
    dialog.props["aria-label"] = "Keys"
    return dialog
