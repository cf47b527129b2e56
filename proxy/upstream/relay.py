"""Sends requests to the engine and yields its responses.

Owns which headers are dropped and set on either way, and tells an engine that is away from one that
fails. Leaves to the handler when a request is sent, and how the response goes to the client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from types import TracebackType
from typing import Self

import orjson

from proxy import errors
from proxy.edge.request import Request
from proxy.edge.usage_scanner import Usage, parse_usage
from proxy.edge.write_batching import WriteBatcher
from proxy.settings import ProxySettings
from proxy.upstream.connection import ConnectError, SilentError, UpstreamConnection, UpstreamError
from proxy.upstream.foreign_usage import without_usage
from proxy.upstream.headers import TO_CLIENT, TO_ENGINE, RequestHeaders, passed_lines
from proxy.upstream.parser import ResponseParser
from proxy.upstream.pool import UpstreamPool
from proxy.upstream.readiness import engine_status

logger = logging.getLogger(__name__)

MAX_ERROR_BYTES = 65_536
"""Limit for an engine's error that is passed on as an event, and for its usage."""
USAGE_TIMEOUT_S = 5.0
"""How long the engine may take to end a request that was broken off and to report its usage."""
CHECK_TIMEOUT_S = 30.0
"""How long the engine may take to check a request that waits."""
LONG_PAUSE_S = 1.0
"""An engine that we kept waiting longer than this may have given up on us; it is not broken."""

_CLIENT_S_MISTAKES = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_NO_SUCH_PATH = "unknown_url"
_METHODS_WITHOUT_BODY = ("GET", "HEAD")
_NOT_FOR_CLIENTS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE)


class UpstreamFailedError(Exception):
    """The engine failed after the response had begun; `error` is to be sent to the client."""

    def __init__(self, error: errors.ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class EngineAwayError(Exception):
    """The engine cannot be reached and has not received the request: it may be sent again."""


class Relay:
    """Sends requests to one engine. Open for as long as the context lasts."""

    def __init__(
        self, settings: ProxySettings, writes: WriteBatcher, *, on_broken: Callable[[], None]
    ) -> None:
        """`on_broken` is called when the engine breaks off, before the handler hears of it."""
        self._settings = settings
        self._on_broken = on_broken
        self.upstream = UpstreamPool(
            settings.backend_url,
            writes=writes,
            connect_timeout_s=settings.connect_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
        )
        self._base_path = self.upstream.base_path
        self._headers = RequestHeaders(self.upstream.host_header, settings.backend_key)

    async def __aenter__(self) -> Relay:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.upstream.close()

    def send(
        self,
        request: Request,
        body: bytes,
        *,
        request_id: str,
        user_id: int,
        weight: float,
        hide_usage: bool = False,
    ) -> UpstreamResponse:
        """The engine's response to a request: a context manager, which sends it on entry.

        `request_id` is unique for each request; `user_id` reaches the engine as an opaque tag.
        `hide_usage`: the client has not asked for the chunk that tells a stream's usage.

        Raises:
            ApiError: 400, the request holds what would be more than one header line.
        """
        head = self._request_head(request, len(body), request_id, user_id, weight)
        return UpstreamResponse(
            self, head, body, bodiless=request.method == "HEAD", hide_usage=hide_usage
        )

    async def usage_of(self, request_id: str) -> Usage | None:
        """Ask the engine what a request used that was broken off; it answers once it has stopped.

        Returns None if the engine does not know, or does not answer within USAGE_TIMEOUT_S.
        """
        head = b"GET %b/internal/usage/%b HTTP/1.1\r\n%b\r\n\r\n" % (
            self._base_path, request_id.encode(), self._headers.fixed,
        )  # fmt: skip
        try:
            async with asyncio.timeout(USAGE_TIMEOUT_S):
                connection = await self.upstream.send(head, b"")
                try:
                    text = await connection.read_all(MAX_ERROR_BYTES)
                finally:
                    self.upstream.release(connection)
        except (UpstreamError, TimeoutError) as error:
            logger.info("the engine does not tell what a request used: %s", error)
            return None
        return parse_usage(text) if connection.parser.status == HTTPStatus.OK else None

    async def error_of(self, path: str, body: bytes) -> errors.ApiError | None:
        """Ask our engine whether it would refuse this request, without running it.

        Returns None if it would not, or does not say within CHECK_TIMEOUT_S.
        """
        head = b"POST %b/internal/validate%b HTTP/1.1\r\n%b\r\nContent-Length: %d\r\n\r\n" % (
            self._base_path, path.encode(), self._headers.fixed, len(body),
        )  # fmt: skip
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                connection = await self.upstream.send(head, body)
                try:
                    text = await connection.read_all(MAX_ERROR_BYTES)
                finally:
                    self.upstream.release(connection)
            status = connection.parser.status
            error = orjson.loads(text)["error"] if status in _CLIENT_S_MISTAKES else None
            if error is None or error.get("code") == _NO_SUCH_PATH:
                return None
            return errors.upstream_refused(status, error)
        except (UpstreamError, TimeoutError, ValueError, KeyError, TypeError, AttributeError) as problem:
            logger.info("the engine does not check a request that waits: %s", problem)
            return None

    # UpstreamResponse calls the methods below.

    def broke_off(self, error: UpstreamError, paused_s: float) -> UpstreamFailedError:
        """Return the error for the client after an incomplete response.

        `paused_s`: seconds that the engine has had to wait for us.
        """
        if isinstance(error, SilentError):
            return UpstreamFailedError(errors.upstream_timeout(self._settings.idle_timeout_s))
        logger.warning("the engine broke off its response: %s", error)
        if paused_s <= LONG_PAUSE_S:
            self._on_broken()
        return UpstreamFailedError(errors.upstream_broke())

    async def refuse(self, status: int) -> None:
        """Raise an error for a status of the engine that must not reach the client; else do nothing.

        Raises:
            EngineAwayError: the engine is loading.
            ApiError: 502, the engine refuses our key.
        """
        if status == HTTPStatus.UNAUTHORIZED:
            # The operator's mistake: the user would look for it in a key that is good.
            logger.error("the engine refuses LLAMA_SERVER_API_KEY: set it to the engine's own key")
            raise errors.upstream_broke()
        if not (await engine_status(self._settings.backend_url)).ready:
            raise EngineAwayError

    def unanswered(self, error: UpstreamError) -> Exception:
        """Return the exception for a request that got no response."""
        if isinstance(error, ConnectError):
            logger.info("cannot connect to the engine: %s", error)
            return EngineAwayError()
        if isinstance(error, SilentError):
            return errors.upstream_timeout(self._settings.idle_timeout_s)
        logger.warning("the engine broke off: %s", error)
        self._on_broken()
        return errors.upstream_broke()

    def _request_head(
        self, request: Request, body_bytes: int, request_id: str, user_id: int, weight: float
    ) -> bytes:
        """The head of the request to the engine: the client's own bytes, but for what the proxy sets."""
        # A fragment is no part of a request (RFC 9112, section 3.2), but aiohttp lets one pass.
        target = self._base_path + request.target.encode("utf-8", "surrogateescape").partition(b"#")[0]
        lines = [
            b"%b %b HTTP/1.1" % (request.method.encode(), target),
            self._headers.for_user(user_id, weight),
        ]
        lines += passed_lines(request.raw_headers, TO_ENGINE)
        identifier = request_id.encode()
        lines += [b"X-Request-ID: %b" % identifier, b"X-Llamaserve-Request: %b" % identifier]
        if body_bytes or request.method not in _METHODS_WITHOUT_BODY:
            lines.append(b"Content-Length: %d" % body_bytes)
        head = b"\r\n".join(lines)
        ends = len(lines) - 1 + self._headers.line_ends
        if not head.count(b"\r") == head.count(b"\n") == ends or b"\0" in head or b" " in target:
            raise errors.bad_request(
                "The request holds a line end, NUL or blank where there can be none."
            )
        return head + b"\r\n\r\n"


class UpstreamResponse:
    """The engine's response to one request. A context manager: open while the body is read.

    Entering it sends the request and waits for the head of the response. Leaving it before the end of
    the body closes the connection, from which the engine learns that nobody wants the rest. An
    UpstreamError that leaves the context (from `read`) becomes an UpstreamFailedError.

    Raises:
        EngineAwayError: on entry, there is no engine that could have seen the request.
        ApiError: on entry, the engine failed before it responded: 502 or 504.
    """

    parser: ResponseParser
    """Has the head, and the part of the body that has arrived."""
    take: Callable[[], bytes]
    """Returns the unread part of the body that has arrived, perhaps nothing; does not wait."""
    read: Callable[[], Awaitable[bytes]]
    """Waits for more of the body and returns all that has arrived, which may be nothing.

    Raises UpstreamError if the response is incomplete, after all that arrived has been returned.
    """

    length: int | None
    """Length of the body, if it is known before its end."""

    def __init__(
        self, relay: Relay, head: bytes, body: bytes, *, bodiless: bool, hide_usage: bool
    ) -> None:
        self._relay = relay
        self._request = head, body, bodiless
        self._hide_usage = hide_usage
        self._connection: UpstreamConnection

    async def __aenter__(self) -> Self:
        head, body, bodiless = self._request
        relay = self._relay
        try:
            connection = await relay.upstream.send(head, body, bodiless=bodiless)
        except UpstreamError as error:
            raise relay.unanswered(error) from error
        self._connection = connection
        if connection.parser.status in _NOT_FOR_CLIENTS:
            try:
                await relay.refuse(connection.parser.status)
            except BaseException:
                relay.upstream.release(connection)
                raise
        self.parser, self.take, self.read = connection.parser, connection.take, connection.read
        self.length = connection.parser.length
        if self._hide_usage and connection.parser.event_stream:
            self.take, self.read = without_usage(connection)
            self.length = None
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        self._relay.upstream.release(self._connection)
        if isinstance(error, UpstreamError):
            raise self._relay.broke_off(error, self._connection.paused_s) from error

    def header_lines(self, further: bytes) -> bytes:
        """The engine's header lines that are passed on to the client, and further ones after them."""
        return b"\r\n".join((*passed_lines(self.parser.headers, TO_CLIENT), further))

    async def check_is_stream(self) -> None:
        """Refuse any response but a stream: the head of a stream has been sent to the client already.

        Raises:
            UpstreamFailedError: with the engine's own error, if it is in OpenAI's envelope.
        """
        status = self.parser.status
        if status == HTTPStatus.OK and self.parser.event_stream:
            return
        try:
            error = orjson.loads(await self._connection.read_all(MAX_ERROR_BYTES))["error"]
            refusal = errors.upstream_refused(status, error)
        except (ValueError, KeyError, TypeError, AttributeError, UpstreamError) as cause:
            raise UpstreamFailedError(errors.upstream_broke()) from cause
        raise UpstreamFailedError(refusal)
