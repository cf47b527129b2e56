"""Requests to the proxy on behalf of a session's user, with the user's own key."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from proxy.dashboard.access.sessions import Session
from proxy.dashboard.data import errors
from proxy.dashboard.data.cached import Cached

MAX_ANSWER_BYTES = 4 * 2**20
MAX_LINE_BYTES = 2**20
CONNECT_S = 10.0
MODELS_TIMEOUT_S = 3.0
"""Of each engine: pages that need a name are not shown before."""
MODELS_FRESH_S = 10.0
MAX_ASKED = 3
"""Engines: all of them serve the same model."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the proxy answered."""

    status: int
    request_id: str
    body: bytes
    seconds: float


class ApiRequests:
    """Sends requests to the proxy at `url`. A request ends when its caller is cancelled."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def send(self, session: Session, path: str, body: Mapping[str, Any]) -> Answer:
        """Send a request and read the whole response, at most MAX_ANSWER_BYTES of it.

        Raises:
            Unavailable: the proxy does not answer.
            NotAllowed: the session has ended.
        """
        began = time.monotonic()
        try:
            async with self._post(session, path, body) as response:
                content = bytearray()
                async for piece in response.content.iter_chunked(65_536):
                    content += piece[: MAX_ANSWER_BYTES - len(content)]
                return Answer(
                    status=response.status,
                    request_id=response.headers.get("x-request-id", ""),
                    body=bytes(content),
                    seconds=time.monotonic() - began,
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.proxy_unavailable() from error

    async def stream(
        self, session: Session, path: str, body: Mapping[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        """Send a request for a stream; yields the objects of its events, or one with an `error`.

        Raises:
            Unavailable: the proxy does not answer, or breaks the stream off.
            NotAllowed: the session has ended.
        """
        try:
            async with self._post(session, path, {**body, "stream": True}) as response:
                if response.content_type != "text/event-stream":
                    yield _object(await response.content.read(65_536))
                    return
                async for line in response.content:
                    if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
                        yield _object(line[6:])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise errors.proxy_unavailable() from error

    @asynccontextmanager
    async def get(self, session: Session, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to a GET, to be read piece by piece. Raises NotAllowed: the session has ended."""
        async with self._request("GET", session, path) as response:
            yield response

    @asynccontextmanager
    async def _post(
        self, session: Session, path: str, body: Mapping[str, Any]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._request("POST", session, path, json.dumps(body).encode()) as response:
            yield response

    @asynccontextmanager
    async def _request(
        self, method: str, session: Session, path: str, body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if not session.key:
            raise errors.session_ended()
        headers = {"Authorization": f"Bearer {session.key}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        # The proxy itself bounds how long a request may wait and run.
        async with self._http.request(
            method,
            self._url + path,
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            allow_redirects=False,
        ) as response:
            yield response


def _object(data: bytes) -> dict[str, Any]:
    found = orjson.loads(data)
    return found if isinstance(found, dict) else {}


class Models:
    """The names of the engines' models, asked of the first that answers, once for all pages."""

    def __init__(self, http: aiohttp.ClientSession, engines: Sequence[tuple[str, str]]) -> None:
        """`engines`: URL and key of each."""
        self._http = http
        self._engines = engines
        self._names: list[str] = []
        self._cached: Cached[list[str]] = Cached(MODELS_FRESH_S)

    async def names(self) -> list[str]:
        """Those that generate or embed; the last known ones while no engine answers."""
        return await self._cached.get("names", self._read)

    async def _read(self) -> list[str]:
        for url, key in self._engines[:MAX_ASKED]:
            if names := await self._names_of(url, key):
                self._names = names
                break
        return self._names

    async def _names_of(self, url: str, key: str) -> list[str]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = aiohttp.ClientTimeout(total=MODELS_TIMEOUT_S)
        try:
            async with self._http.get(
                url + "/v1/models", headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                found = orjson.loads(await response.content.read(MAX_LINE_BYTES))
            return [str(model["id"])[:256] for model in found["data"]]
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
            return []
