"""What a page is, and what it can ask for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, isawaitable, signature
from typing import Any, Concatenate, ParamSpec, TypeVar

from nicegui import Client, ui
from psycopg import Connection

from proxy.dashboard.access.sessions import Session
from proxy.dashboard.data import errors
from proxy.dashboard.data.errors import DashboardError
from proxy.dashboard.services import Services
from proxy.identity.user_errors import UserError

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Refresh = Callable[[], Awaitable[None]]
"""Shows anew what a page has."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One open page of one session."""

    session: Session
    services: Services
    client: Client
    query: Mapping[str, str]
    """The parameters of its address."""

    @property
    def is_admin(self) -> bool:
        return self.session.is_admin

    @property
    def username(self) -> str:
        return self.session.username

    def check(self, *, admin: bool = False) -> None:
        """Whoever changes or reads something asks this first, at the time of the event.

        Raises:
            NotAllowed: the session has ended, or `admin` and its user is none.
        """
        if self.session.ended.is_set():
            raise errors.session_ended()
        if admin and not self.session.is_admin:
            raise errors.admins_only()

    async def ask(
        self,
        question: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a function of other rooms with a database connection, in a thread.

        Raises:
            NotAllowed, Unavailable, UserError.
        """
        self.check()
        return await self.services.database.run(self.username, question, *args, **kwargs)

    def action(
        self, act: Callable[..., Awaitable[None] | None], *, admin: bool = False, once: bool = False
    ) -> Callable[..., Awaitable[None]]:
        """A handler for an event: checks the role and shows what goes wrong as a note.

        `act` gets the event if it has a parameter without a default. What it makes, dialogs and notes,
        belongs to the page: what the event came from may be gone before they are made.
        `once`: for a button that changes something. A second click while it does is for nothing.
        """
        runs = False

        async def handle_event(*event: Any) -> None:
            nonlocal runs
            if once and runs:
                return
            runs = True
            with self.client:
                try:
                    self.check(admin=admin)
                    outcome = act(*event)
                    if isawaitable(outcome):
                        await outcome
                except (DashboardError, UserError) as error:
                    text = str(error)
                    ui.notify(text[:1].upper() + text[1:], type="negative", position="top")
                finally:
                    runs = False

        # NiceGUI looks at the parameters of a handler, too.
        async def handle(event: Any) -> None:
            await handle_event(event)

        parameters = signature(act).parameters.values()
        takes_event = any(parameter.default is Parameter.empty for parameter in parameters)
        return handle if takes_event else handle_event

    def every(self, seconds: float, refresh: Refresh) -> Refresh:
        """Refresh a part of the page now and every so many seconds, while it is open.

        What goes wrong stands in a line at this place of the page until it goes well again. Returns what
        refreshes it between, and does not raise: who has just changed something has not failed.
        """
        problem = ui.label().classes("problem").mark("problem")
        problem.visible = False

        async def run() -> None:
            try:
                self.check()
                await refresh()
            except DashboardError as error:
                problem.text, problem.visible = str(error), True
            else:
                problem.visible = False

        ui.timer(seconds, run, immediate=True)
        return run


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the navigation."""

    path: str
    title: str
    icon: str
    """A name of Google's Material Icons."""
    build: Callable[[View], Awaitable[None] | None]
    """Fills the page. It should not wait for long: `View.every` reads data when the page is open."""
    admin_only: bool = False
