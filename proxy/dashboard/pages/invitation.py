"""The public page of an invitation: whoever has the link makes the user's key, and sees it once.

Only a POST from our own page uses the invitation up: programs that look at links in messages do not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from psycopg import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.admin import client_settings
from proxy.dashboard.access.login import client_of
from proxy.dashboard.access.plain_page import plain_page
from proxy.dashboard.data.database import Database
from proxy.dashboard.data.errors import DashboardError
from proxy.dashboard.settings import DashboardSettings
from proxy.identity import invitations
from proxy.identity.authentication.failed_logins import FailedLogins
from proxy.identity.user_errors import InvitationRefused

logger = logging.getLogger(__name__)

ACTOR = "invitation"
"""What the audit names for a key that is made here."""
T = TypeVar("T")


class InvitationPage:
    """The routes of invitations. Wrong codes count as `failures` of the address they come from."""

    def __init__(self, settings: DashboardSettings, database: Database, failures: FailedLogins) -> None:
        self._settings = settings
        self._database = database
        self._failures = failures

    def routes(self) -> list[Route]:
        return [
            Route("/invitation/{code}", self._show, methods=["GET"]),
            Route("/invitation/{code}", self._use, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        found = await self._with_code(request, invitations.find)
        if isinstance(found, Response):
            return found
        return plain_page(
            "invitation.html", title="Your invitation", username=found.username,
            expires_at=found.expires_at, key_expires_at=found.key_expires_at,
        )  # fmt: skip

    async def _use(self, request: Request) -> Response:
        found = await self._with_code(request, invitations.redeem)
        if isinstance(found, Response):
            return found
        username, issued = found
        logger.info("the invitation of %s was used", username)
        return plain_page(
            "invitation.html", title="Your key", username=username, key=issued.key,
            url=client_settings.url_for_others(self._settings.config),
        )  # fmt: skip

    async def _with_code(self, request: Request, act: Callable[[Connection, str], T]) -> T | Response:
        """What `act` returns for the code in the path, or the page that says why not."""
        client = client_of(request, self._settings.trusted_proxies)
        wait_s = self._failures.wait_s(client)
        if wait_s > 0:
            text = f"Too many wrong links came from your address. Try again in {wait_s:.0f} s."
            return _refusal(429, text)
        try:
            return await self._database.run(ACTOR, act, request.path_params["code"])
        except InvitationRefused as error:
            self._failures.note(client)
            text = str(error)
            return _refusal(404, f"{text[:1].upper()}{text[1:]}.")
        except DashboardError as error:
            return _refusal(503, str(error))


def _refusal(status: int, text: str) -> Response:
    return plain_page("invitation.html", status, title="Invitation", problem=text)
