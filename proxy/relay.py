"""The relay: a request's way to the engine and the answer's way back.

Answers pass as they arrive, first byte included, with back-pressure from the client. A request's body
is read whole, up to a limit, before the engine sees any of it: a slow upload must not hold the engine.
Owns what is dropped and set in headers on either way. Leaves to the handler who may send a request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import UUID

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, MultiMapping
from yarl import URL

from proxy import errors
from proxy.config import ProxySettings
from proxy.usage import AnswerScanner

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

BODY_IDLE_S = 60.0
"""A client that sends nothing of its body for so long has given up."""

_UPSTREAM_LOST = (aiohttp.ClientError, ConnectionError)


@dataclass(kw_only=True, slots=True)
class Answer:
    """How far an answer has come. Times are monotonic seconds."""

    status_code: int | None = None
    first_byte_at: float | None = None
    response_bytes: int = 0
    stream: bool = False
    scanner: AnswerScanner = field(default_factory=AnswerScanner)
    response: web.StreamResponse | None = None
    """What goes to the client; None until the engine has answered."""


class UpstreamFailedError(Exception):
    """The engine failed after the answer had begun; `error` is what the client should learn."""

    def __init__(self, error: errors.ApiError) -> None:
        super().__init__(error.message)
        self.error = error


def check_body(request: web.Request, limit_bytes: int) -> None:
    """Refuse a body that its headers say will not do.

    Raises:
        ApiError: 413 over the limit, 415 for a compressed body.
    """
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise errors.unsupported_encoding(encoding)
    if (request.content_length or 0) > limit_bytes:
        raise errors.body_too_large(limit_bytes)


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """The request's body.

    Raises:
        ApiError: 413 over the limit, 400 for one that breaks off, 408 for one that stops coming.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_IDLE_S) as patience:
            async for chunk in request.content.iter_any():
                patience.reschedule(asyncio.get_running_loop().time() + BODY_IDLE_S)
                body += chunk
                if len(body) > limit_bytes:
                    raise errors.body_too_large(limit_bytes)
    except TimeoutError as error:
        raise errors.body_timeout(BODY_IDLE_S) from error
    except (aiohttp.http_exceptions.HttpProcessingError, aiohttp.ClientPayloadError) as error:
        raise errors.bad_request("The request body broke off or is not valid HTTP.") from error
    return bytes(body)


class Relay:
    """Forwards requests to one engine. Open for as long as the context lasts."""

    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
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
    ) -> web.StreamResponse:
        """Send a request to the engine and pass its answer on.

        `headers` gives our own headers when the answer begins; `answer` is kept up to date;
        `before_end` is called once the answer is complete, before the client gets its end.

        Raises:
            ApiError: the engine failed before it answered: 502, 503 or 504.
            UpstreamFailedError: the engine failed in mid-answer.
        """
        upstream = await self._send(request, body, request_id)
        try:
            _refuse_key_error(upstream)
            answer.status_code = upstream.status
            answer.stream = upstream.content_type == "text/event-stream"
            response = answer.response = _response_to(request, upstream, headers())
            await response.prepare(request)
            await self._pass_on(upstream, response, answer, before_end)
            await response.write_eof()
        finally:
            # Closes the connection if the answer was not read to its end: so the engine learns
            # that nobody wants the rest.
            upstream.close()
        return response

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
            logger.warning("the engine cannot be reached: %s", error)
            raise errors.upstream_unreachable() from error
        except TimeoutError as error:
            raise errors.upstream_timeout(self._settings.idle_timeout_s) from error
        except _UPSTREAM_LOST as error:
            logger.warning("the engine broke off: %s", error)
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
        response: web.StreamResponse,
        answer: Answer,
        before_end: Callable[[], None],
    ) -> None:
        ended = False
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
                raise UpstreamFailedError(errors.upstream_broke()) from error
            if chunk:
                if answer.first_byte_at is None:
                    answer.first_byte_at = time.monotonic()
                answer.response_bytes += len(chunk)
                answer.scanner.feed(chunk)
            if not ended and (not chunk or _is_last(upstream, answer)):
                ended = True
                before_end()
            if not chunk:
                return
            await response.write(chunk)


def _refuse_key_error(upstream: aiohttp.ClientResponse) -> None:
    """An engine that refuses our key is our fault: the user would look for it in a key that is good."""
    if upstream.status == HTTPStatus.UNAUTHORIZED:
        logger.error("the engine refuses LLAMA_SERVER_API_KEY: set it to the engine's own key")
        raise errors.upstream_broke()


def _is_last(upstream: aiohttp.ClientResponse, answer: Answer) -> bool:
    """Whether a client that has these bytes has all: it may leave without waiting for our end."""
    if answer.stream:
        return answer.scanner.saw_done()
    return upstream.content_length == answer.response_bytes


def _response_to(
    request: web.Request, upstream: aiohttp.ClientResponse, headers: Mapping[str, str]
) -> web.StreamResponse:
    passed = _filtered(upstream.headers, _NOT_TO_CLIENT)
    passed.update(headers)
    response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=passed)
    if upstream.content_length is not None:
        response.content_length = upstream.content_length
    elif request.version >= aiohttp.HttpVersion11:
        response.enable_chunked_encoding()
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
