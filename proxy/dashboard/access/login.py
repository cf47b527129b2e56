"""Logging in and out: a key, or a one-time link, is exchanged once for a session."""

from __future__ import annotations

import re

from multidict import CIMultiDict, CIMultiDictProxy
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from proxy.addresses import Networks, client_address
from proxy.dashboard.access.guard import COOKIE, LOGIN
from proxy.dashboard.access.links import use_link
from proxy.dashboard.access.plain_page import form_of, plain_page
from proxy.dashboard.access.sessions import LIFE_S, Sessions, SessionsFull
from proxy.dashboard.settings import DashboardSettings
from proxy.errors import ApiError
from proxy.identity.authentication.authenticator import Authenticator

_ENDED = "You are not logged in any more: your session, or your key, has ended."
_USED_LINK = (
    "This link has been used, or is older than 15 minutes. On the server, ./console.sh dashboard makes "
    "a new one."
)
_NO_ADMIN_KEY = (
    "One-time links need LLAMA_ADMIN_KEY in runtime/config.env. Log in with an administrator's key."
)
_FULL = "Too many people are logged in. Please try again later."


class Login:
    """The routes of login and logout."""

    def __init__(
        self, settings: DashboardSettings, sessions: Sessions, authenticator: Authenticator
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._authenticator = authenticator

    def routes(self) -> list[Route]:
        return [
            Route(LOGIN, self._show, methods=["GET"]),
            Route(LOGIN, self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        query = request.query_params
        if request.state.session is not None and "link" not in query:
            return RedirectResponse(_local(query.get("next", "")), 303)
        return self._form(
            next_=query.get("next", ""),
            link=query.get("link", ""),
            ended=_ENDED if "ended" in query else "",
        )

    async def _log_in(self, request: Request) -> Response:
        form = await form_of(request)
        next_ = form.get("next", "")
        key = form.get("key", "").strip()
        if "link" in form:
            if not self._settings.admin_key:
                return self._form(problem=_NO_ADMIN_KEY, next_=next_, status=403)
            if not use_link(self._settings.run_dir, form["link"]):
                return self._form(problem=_USED_LINK, next_=next_, status=403)
            key = self._settings.admin_key
        try:
            principal = await self._authenticator.authenticate(key, self._client(request))
            token = self._sessions.begin(principal, key)
        except ApiError as error:
            return self._form(problem=error.message, next_=next_, status=error.status)
        except SessionsFull:
            return self._form(problem=_FULL, next_=next_, status=503)
        if request.state.session is not None:
            self._sessions.end(request.state.session)
        response = RedirectResponse(_local(next_), 303)
        response.set_cookie(
            COOKIE, token, max_age=int(LIFE_S), path="/", httponly=True, samesite="strict",
            secure=self._settings.tls_cert is not None,
        )  # fmt: skip
        return response

    async def _log_out(self, request: Request) -> Response:
        self._sessions.end(request.state.session)
        response = RedirectResponse(LOGIN, 303)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    def _form(
        self, *, problem: str = "", next_: str = "", link: str = "", ended: str = "", status: int = 200
    ) -> Response:
        return plain_page(
            "login.html", status, title="Log in", problem=problem, next=next_, link=link, ended=ended
        )

    def _client(self, request: Request) -> str:
        return client_of(request, self._settings.trusted_proxies)


def client_of(request: Request, trusted: Networks) -> str:
    """The address of the browser."""
    peer = request.client.host if request.client is not None else ""
    headers = CIMultiDictProxy(CIMultiDict(request.headers.items()))
    return client_address(peer, headers, trusted)


def _local(target: str) -> str:
    """A path of ours to go on to; the first page for anything else."""
    return target if re.fullmatch(r"/[a-z]*(\?[A-Za-z0-9=&_.%~-]*)?", target) else "/"
