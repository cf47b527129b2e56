"""Stands before the application: no request and no socket passes that has no session.

What passes has its `Session` and the nonce for its scripts in the request's state. Requests that change
something, and sockets, must come from our own pages (Origin). A socket belongs to the page that opened
it, and is closed when the session ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from proxy.dashboard.access.headers import new_nonce, security_headers
from proxy.dashboard.access.sessions import Session, Sessions, SessionsFull
from proxy.dashboard.access.sockets import refuse_handshake

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "llamaserve_session"
LOGIN = "/login"
PUBLIC = (LOGIN, "/healthz", "/favicon.ico", "/robots.txt")
PUBLIC_BEGINNINGS = ("/assets/", "/_nicegui/", "/invitation/")
"""Files of ours and of NiceGUI, which are the same for everybody; and invitations."""
SOCKET = "/_nicegui_ws/"
GOODBYE_S = 0.3
"""How long a socket stays open when its session has ended, so that its page can be told."""


class Guard:
    """An ASGI middleware around the whole application."""

    def __init__(self, app: Application, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = new_nonce()
        state = scope.setdefault("state", {})
        state["csp_nonce"] = nonce
        state["session"] = session = self._session(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *security_headers(nonce)]
            await send(message)

        refusal = self._refusal(scope, session)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, session: Session | None) -> Response | None:
        path, method = scope["path"], scope["method"]
        if path.startswith(SOCKET):
            return PlainTextResponse("Only WebSockets are served here.\n", 404)
        if method not in ("GET", "HEAD") and not is_own_origin(scope):
            return PlainTextResponse("This request is not from a page of this server.\n", 403)
        if session is not None or path in PUBLIC or path.startswith(PUBLIC_BEGINNINGS):
            return None
        if method == "GET":
            query = scope["query_string"].decode("latin-1")
            target = quote(path + ("?" + query if query else ""), safe="/")
            return RedirectResponse(f"{LOGIN}?next={target}" if path != "/" else LOGIN, 303)
        return PlainTextResponse("Log in first.\n", 401)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = self._session(scope)
        if not scope["path"].startswith(SOCKET) or not is_own_origin(scope):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        page_id = parse_qs(scope["query_string"].decode("latin-1")).get("client_id", [""])[0]
        if session is None or page_id not in session.pages:
            await refuse_handshake(receive, send)
            return
        scope.setdefault("state", {})["session"] = session
        try:
            with self._sessions.open_socket(session, page_id):
                await self._app(scope, _until_ended(receive, session), send)
        except SessionsFull:
            await receive()
            await send({"type": "websocket.close", "code": 1013})

    def _session(self, scope: Scope) -> Session | None:
        for name, value in scope["headers"]:
            if name == b"cookie":
                token = _cookie(value.decode("latin-1"))
                if token and (session := self._sessions.find(token)) is not None:
                    return session
        return None


def is_own_origin(scope: Scope) -> bool:
    """Whether the Origin header names the host that the request was sent to."""
    headers = dict(scope["headers"])
    origin, host = headers.get(b"origin", b"").decode("latin-1"), headers.get(b"host", b"")
    return bool(host) and urlsplit(origin).netloc == host.decode("latin-1")


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _until_ended(receive: Receive, session: Session) -> Receive:
    """Receives like `receive`, and a disconnection soon after the session has ended."""

    async def receive_until_ended() -> Message:
        message = asyncio.ensure_future(receive())
        end = asyncio.ensure_future(_goodbye(session))
        try:
            await asyncio.wait({message, end}, return_when=asyncio.FIRST_COMPLETED)
            if message.done():
                return message.result()
            return {"type": "websocket.disconnect", "code": 1008}
        finally:
            message.cancel()
            end.cancel()

    return receive_until_ended


async def _goodbye(session: Session) -> None:
    await session.ended.wait()
    await asyncio.sleep(GOODBYE_S)
