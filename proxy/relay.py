"""The relay: a request's way to the engine and the answer's way back.

Answers pass as they arrive, first byte included, with back-pressure from the client. Owns what is
dropped and set in headers on either way, and tells an engine that is away from one that fails. Leaves
to the handler who may send a request, and when.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from uuid import UUID

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, MultiMapping
from yarl import URL

from proxy import errors
from proxy.answer import Answer
from proxy.config import ProxySettings
from proxy.engine_watch import engine_ready

logger = logging.getLogger(__name__)

# Of one connection only, not to be passed on (RFC 9110, section 7.6.1); with them, what each leg sets
# for itself.
_HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    "transfer-encoding upgrade content-length".split()
)
_NOT_TO_ENGINE = _HOP_BY_HOP | frozenset(
    "host authorization cookie expect accept-encoding x-request-id".split()
)
_NOT_TO_CLIENT = _HOP_BY_HOP | frozenset(
    "date server set-cookie x-request-id openai-processing-ms".split()
)
_RESERVED = ("x-llamaserve-", "x-ratelimit-")
"""Prefixes of headers that only we set."""

ENGINE_KEEPALIVE_S = 4.0
"""uvicorn drops idle connections after 5 s; ours must be dropped sooner."""

MAX_ERROR_BYTES = 65_536
"""Of an engine's error that must be retold in an event."""

_UPSTREAM_LOST = (aiohttp.ClientError, ConnectionError)


class UpstreamFailedError(Exception):
    """The engine failed after the answer had begun; `error` is what the client should learn."""

    def __init__(self, error: errors.ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class EngineAwayError(Exception):
    """There is no engine just now, and none has seen the request: it may be sent again."""


class Relay:
    """Forwards requests to one engine. Open for as long as the context lasts."""

    def __init__(self, settings: ProxySettings, *, on_broken: Callable[[], None]) -> None:
        """`on_broken` is called when the engine breaks off, before whoever waits can hear of it."""
        self._settings = settings
        self._on_broken = on_broken
        self._key = f"Bearer {settings.backend_key}" if settings.backend_key else None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Relay:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=ENGINE_KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._settings.connect_timeout_s,
                sock_read=self._settings.idle_timeout_s,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=65_536,
            max_field_size=65_536,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def forward(
        self,
        request: web.Request,
        body: bytes,
        *,
        request_id: UUID,
        headers: Callable[[], Mapping[str, str]],
        answer: Answer,
        before_end: Callable[[], None],
    ) -> None:
        """Send a request to the engine and pass its answer on, all but the end of it.

        `headers` gives our own headers when the answer begins; `answer` is kept up to date, and is
        gone on with where it has begun; `before_end` is called once the answer is complete, before
        the client has all of it.

        Raises:
            EngineAwayError: there is no engine that could have seen the request.
            ApiError: the engine failed before it answered: 502 or 504.
            UpstreamFailedError: it failed, or refused, when the answer had begun.
        """
        upstream = await self._send(request, body, request_id)
        try:
            await self._check(upstream)
            answer.status_code = upstream.status
            if answer.begun:
                await _refuse_what_is_no_stream(upstream)
            else:
                answer.stream = upstream.content_type == "text/event-stream"
                await answer.begin(request, _response_to(upstream, headers()))
            await self._pass_on(upstream, request, answer, before_end)
        finally:
            # Closes the connection if the answer was not read to its end: so the engine learns
            # that nobody wants the rest.
            upstream.close()

    async def _check(self, upstream: aiohttp.ClientResponse) -> None:
        """Look at the answer's status for what is not meant for the client."""
        if upstream.status == HTTPStatus.UNAUTHORIZED:
            # Our fault: the user would look for it in a key that is good.
            logger.error("the engine refuses LLAMA_SERVER_API_KEY: set it to the engine's own key")
            raise errors.upstream_broke()
        if upstream.status == HTTPStatus.SERVICE_UNAVAILABLE and not await engine_ready(
            self._settings.backend_url
        ):
            raise EngineAwayError

    async def _send(self, request: web.Request, body: bytes, request_id: UUID) -> aiohttp.ClientResponse:
        assert self._session is not None, "the relay is not open"
        try:
            return await self._session.request(
                request.method,
                URL(self._settings.backend_url + request.raw_path, encoded=True),
                data=body or None,
                headers=self._request_headers(request, request_id),
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # No connection came about, so nothing can have been sent on one.
            raise EngineAwayError from error
        except TimeoutError as error:
            raise errors.upstream_timeout(self._settings.idle_timeout_s) from error
        except _UPSTREAM_LOST as error:
            logger.warning("the engine broke off: %s", error)
            self._on_broken()
            raise errors.upstream_broke() from error

    def _request_headers(self, request: web.Request, request_id: UUID) -> CIMultiDict[str]:
        headers = _filtered(request.headers, _NOT_TO_ENGINE)
        if self._key:
            headers["Authorization"] = self._key
        # Uncompressed, so that usage can be read; a UUID, since the engine refuses any other id.
        headers["Accept-Encoding"] = "identity"
        headers["X-Request-ID"] = str(request_id)
        headers["X-Llamaserve-Usage"] = "comment"
        return headers

    async def _pass_on(
        self,
        upstream: aiohttp.ClientResponse,
        request: web.Request,
        answer: Answer,
        before_end: Callable[[], None],
    ) -> None:
        ended = False
        received = 0
        chunks = upstream.content.iter_any()
        while True:
            try:
                chunk = await anext(chunks, b"")
            except TimeoutError as error:
                raise UpstreamFailedError(
                    errors.upstream_timeout(self._settings.idle_timeout_s)
                ) from error
            except _UPSTREAM_LOST as error:
                logger.warning("the engine broke off in mid-answer: %s", error)
                self._on_broken()
                raise UpstreamFailedError(errors.upstream_broke()) from error
            if chunk:
                if answer.first_byte_at is None:
                    answer.first_byte_at = time.monotonic()
                received += len(chunk)
                answer.response_bytes += len(chunk)
                answer.scanner.feed(chunk)
            if not ended and (not chunk or _is_last(upstream, answer, received)):
                ended = True
                before_end()
            if not chunk:
                return
            await answer.send(chunk)


async def _refuse_what_is_no_stream(upstream: aiohttp.ClientResponse) -> None:
    """The client of a begun stream can only be told in an event: in the engine's words, if it has any.

    Raises:
        UpstreamFailedError: the engine's answer is something else than a stream.
    """
    if upstream.status == HTTPStatus.OK and upstream.content_type == "text/event-stream":
        return
    try:
        text = b""
        async for chunk in upstream.content.iter_any():
            text += chunk
            if len(text) > MAX_ERROR_BYTES:
                break
        error = json.loads(text)["error"]
        raise UpstreamFailedError(errors.upstream_refused(upstream.status, error))
    except (ValueError, KeyError, TypeError, TimeoutError, *_UPSTREAM_LOST) as error:
        raise UpstreamFailedError(errors.upstream_broke()) from error


def _is_last(upstream: aiohttp.ClientResponse, answer: Answer, received: int) -> bool:
    """Whether a client that has these bytes has all: it may leave without waiting for our end."""
    if answer.stream:
        return answer.scanner.saw_done()
    return upstream.content_length == received


def _response_to(upstream: aiohttp.ClientResponse, headers: Mapping[str, str]) -> web.StreamResponse:
    passed = _filtered(upstream.headers, _NOT_TO_CLIENT)
    passed.update(headers)
    response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=passed)
    if upstream.content_length is not None:
        response.content_length = upstream.content_length
    return response


def _filtered(headers: MultiMapping[str], dropped: frozenset[str]) -> CIMultiDict[str]:
    """The headers without those dropped, those reserved to us, and those `Connection` names."""
    options = ",".join(headers.getall("Connection", ()))
    named = {name.strip().lower() for name in options.split(",")}
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if (low := name.lower()) not in dropped and low not in named and not low.startswith(_RESERVED)
    )
