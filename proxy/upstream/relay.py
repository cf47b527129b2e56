"""The relay: a request's way to the engine and the answer's way back.

Answers pass as they arrive, first byte included, with back-pressure from the client. Owns what is
dropped and set in headers on either way, and tells an engine that is away from one that fails. Leaves
to the handler who may send a request, and when.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

import orjson

from proxy import errors
from proxy.edge.request import Request
from proxy.edge.response import Response
from proxy.edge.write_batching import WriteBatcher
from proxy.settings import ProxySettings
from proxy.upstream.connection import ConnectError, SilentError, UpstreamConnection, UpstreamError
from proxy.upstream.pool import UpstreamPool
from proxy.upstream.readiness import engine_ready

logger = logging.getLogger(__name__)

# Of one connection only, not to be passed on (RFC 9110, section 7.6.1); with them, what each leg sets
# for itself.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade content-length".split()
)
_NOT_TO_ENGINE = _HOP_BY_HOP | frozenset(
    b"host authorization cookie expect accept-encoding x-request-id".split()
)
_NOT_TO_CLIENT = _HOP_BY_HOP | frozenset(
    b"date server set-cookie x-request-id openai-processing-ms".split()
)
_RESERVED = (b"x-llamaserve-", b"x-ratelimit-")
"""Prefixes of headers that only we set."""

MAX_ERROR_BYTES = 65_536
"""Of an engine's error that must be retold in an event."""

MAX_SPELLINGS, MAX_SPELLING_BYTES = 1024, 64
"""Of names of headers that are remembered."""
_OF_CONNECTIONS = frozenset((b"keep-alive", b"close"))
_METHODS_WITHOUT_BODY = ("GET", "HEAD")
_NOT_FOR_CLIENTS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE)
_Headers = Iterable[tuple[bytes, bytes]]


class UpstreamFailedError(Exception):
    """The engine failed after the answer had begun; `error` is what the client should learn."""

    def __init__(self, error: errors.ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class EngineAwayError(Exception):
    """There is no engine just now, and none has seen the request: it may be sent again."""


class Relay:
    """Forwards requests to one engine. Open for as long as the context lasts."""

    def __init__(
        self, settings: ProxySettings, writes: WriteBatcher, *, on_broken: Callable[[], None]
    ) -> None:
        """`on_broken` is called when the engine breaks off, before whoever waits can hear of it."""
        self._settings = settings
        self._on_broken = on_broken
        self._upstream = UpstreamPool(
            settings.backend_url,
            writes=writes,
            connect_timeout_s=settings.connect_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
        )
        self._base_path = self._upstream.base_path
        self._always = _fixed_lines(self._upstream.host_header, settings.backend_key)
        self._always_ends = self._always.count(b"\n") - 1

    async def __aenter__(self) -> Relay:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._upstream.close()

    async def forward(
        self,
        request: Request,
        body: bytes,
        *,
        request_id: str,
        headers: Callable[[], bytes],
        answer: Response,
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
        head = self._request_head(request, len(body), request_id)
        try:
            upstream = await self._upstream.send(head, body, bodiless=request.method == "HEAD")
        except UpstreamError as error:
            raise self._unanswered(error) from error
        try:
            engine = upstream.answer
            if engine.status in _NOT_FOR_CLIENTS:
                await self._check(engine.status)
            answer.status_code = engine.status
            if request.begun:
                await _refuse_what_is_no_stream(upstream)
            else:
                answer.stream = engine.event_stream
                passed = b"\r\n".join((*_passed(engine.headers, _TO_CLIENT), headers()))
                answer.begin(engine.status, engine.reason, passed, length=engine.length)
                if not engine.pieces and not engine.complete:
                    answer.write(b"")  # the head alone: what follows may be long in coming
            await self._pass_on(upstream, answer, before_end)
        finally:
            # Closes the connection if the answer did not come to its end: so the engine learns that
            # nobody wants the rest.
            self._upstream.release(upstream)

    async def _check(self, status: int) -> None:
        """Look at the answer's status for what is not meant for the client."""
        if status == HTTPStatus.UNAUTHORIZED:
            # Our fault: the user would look for it in a key that is good.
            logger.error("the engine refuses LLAMA_SERVER_API_KEY: set it to the engine's own key")
            raise errors.upstream_broke()
        if status == HTTPStatus.SERVICE_UNAVAILABLE and not await engine_ready(
            self._settings.backend_url
        ):
            raise EngineAwayError

    def _unanswered(self, error: UpstreamError) -> Exception:
        """What it means for a request that the engine gave no answer."""
        if isinstance(error, ConnectError):
            logger.info("cannot connect to the engine: %s", error)
            return EngineAwayError()
        if isinstance(error, SilentError):
            return errors.upstream_timeout(self._settings.idle_timeout_s)
        logger.warning("the engine broke off: %s", error)
        self._on_broken()
        return errors.upstream_broke()

    def _request_head(self, request: Request, body_bytes: int, request_id: str) -> bytes:
        """The head of the request to the engine: the client's own bytes, but for what is ours to say.

        Raises:
            ApiError: 400 for what would be more than one line, which aiohttp lets nobody send.
        """
        # A fragment is no part of a request (RFC 9112, section 3.2), but aiohttp lets one pass.
        target = self._base_path + request.target.encode("utf-8", "surrogateescape").partition(b"#")[0]
        lines = [b"%b %b HTTP/1.1" % (request.method.encode(), target), self._always]
        lines += _passed(request.raw_headers, _TO_ENGINE)
        lines.append(b"X-Request-ID: %b" % request_id.encode())
        if body_bytes or request.method not in _METHODS_WITHOUT_BODY:
            lines.append(b"Content-Length: %d" % body_bytes)
        head = b"\r\n".join(lines)
        ends = len(lines) + self._always_ends
        if not head.count(b"\r") == head.count(b"\n") == ends or b"\0" in head or b" " in target:
            raise errors.bad_request(
                "The request holds a line end, NUL or blank where there can be none."
            )
        return head + b"\r\n\r\n"

    async def _pass_on(
        self, upstream: UpstreamConnection, answer: Response, before_end: Callable[[], None]
    ) -> None:
        engine, scanner, client = upstream.answer, answer.scanner, answer.request.client
        told = False
        while True:
            try:
                chunk = upstream.take() if engine.pieces else await upstream.read()
            except SilentError as error:
                raise UpstreamFailedError(
                    errors.upstream_timeout(self._settings.idle_timeout_s)
                ) from error
            except UpstreamError as error:
                logger.warning("the engine broke off in mid-answer: %s", error)
                self._on_broken()
                raise UpstreamFailedError(errors.upstream_broke()) from error
            ended = engine.complete and not engine.pieces
            if chunk:
                if answer.first_byte_at is None:
                    answer.first_byte_at = time.monotonic()
                answer.response_bytes += len(chunk)
                scanner.feed(chunk)
            # A client that has [DONE] has all: it may leave without waiting for the engine's end.
            if not told and (ended or (answer.stream and scanner.saw_done())):
                told = True
                before_end()
            if chunk:
                answer.write(chunk)
                if client.writing_paused:
                    await answer.drained()
            if ended:
                return


async def _refuse_what_is_no_stream(upstream: UpstreamConnection) -> None:
    """The client of a begun stream can only be told in an event: in the engine's words, if it has any.

    Raises:
        UpstreamFailedError: the engine's answer is something else than a stream.
    """
    status = upstream.answer.status
    if status == HTTPStatus.OK and upstream.answer.event_stream:
        return
    try:
        text = b""
        while chunk := await upstream.read():
            text += chunk
            if len(text) > MAX_ERROR_BYTES:
                break
        error = orjson.loads(text)["error"]
        raise UpstreamFailedError(errors.upstream_refused(status, error))
    except (ValueError, KeyError, TypeError, AttributeError, UpstreamError) as error:
        raise UpstreamFailedError(errors.upstream_broke()) from error


def _fixed_lines(host: str, key: str) -> bytes:
    """What every request to the engine says, without the last line's end."""
    # Uncompressed, so that usage can be read.
    lines = [f"Host: {host}", "Accept-Encoding: identity", "X-Llamaserve-Usage: comment"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join(lines).encode()


class _Names(dict[bytes, bool | None]):
    """Whether a header of this name is passed on; None for `Connection`, which names further ones.

    What is known of a spelling is not found out again.
    """

    def __init__(self, dropped: frozenset[bytes]) -> None:
        super().__init__()
        self._dropped = dropped

    def __missing__(self, name: bytes) -> bool | None:
        low = name.lower()
        passed = None
        if low != b"connection":
            passed = low not in self._dropped and not low.startswith(_RESERVED)
        if len(self) < MAX_SPELLINGS and len(name) < MAX_SPELLING_BYTES:
            self[name] = passed
        return passed


_TO_ENGINE, _TO_CLIENT = _Names(_NOT_TO_ENGINE), _Names(_NOT_TO_CLIENT)


def _passed(headers: _Headers, names: _Names) -> list[bytes]:
    """The lines of those headers that are passed on."""
    lines = []
    named: set[bytes] = set()
    for header in headers:
        passed = names[header[0]]
        if passed:
            lines.append(b"%b: %b" % header)
        elif passed is None:
            named.update(name.strip() for name in header[1].lower().split(b","))
    if named - _OF_CONNECTIONS:
        lines = [line for line in lines if line.partition(b":")[0].lower() not in named]
    return lines
