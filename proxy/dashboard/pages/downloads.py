"""Users' files as downloads: passed on from the proxy, which gives each user the own ones alone."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter

import aiohttp
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from proxy.dashboard.access.plain_page import plain_page
from proxy.dashboard.access.sessions import Session
from proxy.dashboard.data.api_requests import ApiRequests
from proxy.dashboard.data.errors import NotAllowed

logger = logging.getLogger(__name__)

AT_A_TIME = 16
USER_AT_A_TIME = 2
STALL_S = 60.0
"""A browser must take a piece within so long."""
PIECE_BYTES = 65_536
_ID = re.compile(r"file-[0-9a-f]{1,64}")


class Downloads:
    """An ASGI application that answers `GET /downloads/FILE`."""

    def __init__(self, api: ApiRequests) -> None:
        self._api = api
        self._running: Counter[int] = Counter()

    def routes(self) -> list[Route]:
        return [Route("/downloads/{file_id}", self, methods=["GET"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or a page that says why not."""
        request = Request(scope, receive, send)
        session: Session = request.state.session
        user_id, file_id = session.principal.user_id, request.path_params["file_id"]
        if not _ID.fullmatch(file_id):
            await _refuse(404, request, send)
        elif self._running[user_id] >= USER_AT_A_TIME or self._running.total() >= AT_A_TIME:
            await _refuse(503, request, send)
        else:
            self._running[user_id] += 1
            try:
                await self._pass_on(request, session, file_id, send)
            finally:
                self._running[user_id] -= 1
                self._running += Counter()  # drops zeros

    async def _pass_on(self, request: Request, session: Session, file_id: str, send: Send) -> None:
        begun = False
        try:
            async with self._api.get(session, f"/v1/files/{file_id}/content") as found:
                if found.status != 200:
                    await _refuse(404 if found.status == 404 else 502, request, send)
                    return
                await send(_head(file_id))
                begun = True
                async for piece in found.content.iter_chunked(PIECE_BYTES):
                    if session.ended.is_set() or await request.is_disconnected():
                        return  # uvicorn closes the connection: the browser knows that it is not whole
                    async with asyncio.timeout(STALL_S):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except (aiohttp.ClientError, TimeoutError, OSError, NotAllowed) as error:
            logger.warning("a download broke off: %s", error or type(error).__name__)
            if not begun:
                await _refuse(502, request, send)


def _head(file_id: str) -> dict[str, object]:
    name = f'attachment; filename="{file_id}.jsonl"'.encode()
    headers = [
        (b"content-type", b"application/jsonl"),
        (b"content-disposition", name),
        (b"cache-control", b"no-store"),
    ]
    return {"type": "http.response.start", "status": 200, "headers": headers}


async def _refuse(status: int, request: Request, send: Send) -> None:
    title, text = {
        404: ("There is no such file", "It may have been deleted, or is another user's."),
        502: ("The file cannot be read", "The proxy does not answer, or has refused it."),
        503: ("Too many downloads run", "Wait until one of them has ended."),
    }[status]
    page = plain_page("error.html", status, title=title, text=text)
    await page(request.scope, request.receive, send)
