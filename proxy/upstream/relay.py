"""Sends requests to the engines and yields their responses.

Tells an engine that is away from one that fails. Leaves what is sent to `backend.py`, to `scheduling`
which of several engines gets a request, and to the handler when it is sent and how the response goes to
the client.
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
from proxy.upstream.backend import Backend
from proxy.upstream.connection import ConnectError, SilentError, UpstreamConnection, UpstreamError
from proxy.upstream.failures import EngineAwayError, EngineBusyError, UpstreamFailedError
from proxy.upstream.foreign_usage import without_usage
from proxy.upstream.headers import TO_CLIENT, passed_lines
from proxy.upstream.parser import ResponseParser
from proxy.upstream.pool import UpstreamPool
from proxy.upstream.readiness import engine_status

logger = logging.getLogger(__name__)

MAX_ERROR_BYTES = 65_536
"""Limit for an engine's error that is passed on as an event."""
USAGE_TIMEOUT_S = 5.0
"""How long the engine may take to end a request that was broken off and to report its usage."""
CHECK_TIMEOUT_S = 30.0
"""How long the engine may take to check a request that waits."""
LONG_PAUSE_S = 1.0
"""An engine that we kept waiting longer than this may have given up on us; it is not broken."""

_CLIENT_S_MISTAKES = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_NO_SUCH_PATH = "unknown_url"
_NOT_FOR_CLIENTS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE)


class Relay:
    """Sends requests to the engines. Open for as long as the context lasts."""

    def __init__(
        self,
        settings: ProxySettings,
        writes: WriteBatcher,
        *,
        on_broken: Callable[[int], None],
        on_refused: Callable[[int], None],
    ) -> None:
        """`on_broken` is called when a backend breaks off, before the handler hears of it.

        `on_refused` is called when one of several refuses our key.
        """
        self._settings = settings
        self._on_broken = on_broken
        self._on_refused = on_refused
        self._backends = [
            Backend(
                backend,
                writes=writes,
                connect_timeout_s=settings.connect_timeout_s,
                idle_timeout_s=settings.idle_timeout_s,
            )
            for backend in settings.all_backends
        ]

    async def __aenter__(self) -> Relay:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*[backend.close() for backend in self._backends])

    def send(
        self,
        request: Request,
        body: bytes,
        *,
        request_id: str,
        user_id: int,
        weight: float,
        hide_usage: bool = False,
        backend: int = 0,
        is_batch: bool = False,
    ) -> UpstreamResponse:
        """A backend's response to a request: a context manager, which sends it on entry.

        `request_id` is unique for each request; `user_id` reaches the engine as an opaque tag.
        `hide_usage`: the client has not asked for the chunk that tells a stream's usage.
        `backend` is an index of `ProxySettings.all_backends`.
        `is_batch`: our engine is to pause it when others need its slot, for as long as they do.

        Raises:
            ApiError: 400, the request holds what would be more than one header line.
        """
        engine = self._backends[backend]
        head = engine.request_head(request, len(body), request_id, user_id, weight, is_batch=is_batch)
        bodiless = request.method == "HEAD"
        return UpstreamResponse(
            self, backend, engine.pool, (head, body, bodiless, is_batch), hide_usage=hide_usage
        )

    def url_of(self, backend: int) -> str:
        """A backend's URL."""
        return self._settings.all_backends[backend].url

    async def usage_of(self, request_id: str, backend: int = 0) -> Usage | None:
        """Ask the engine what a request used that was broken off; it answers once it has stopped.

        Returns None if the engine does not know, or does not answer within USAGE_TIMEOUT_S.
        """
        path = f"/internal/usage/{request_id}"
        try:
            reply = await self._backends[backend].ask("GET", path, timeout_s=USAGE_TIMEOUT_S)
        except (UpstreamError, TimeoutError) as error:
            logger.info("the engine does not tell what a request used: %s", error)
            return None
        return parse_usage(reply.text) if reply.status == HTTPStatus.OK else None

    async def error_of(self, path: str, body: bytes, backend: int = 0) -> errors.ApiError | None:
        """Ask our engine whether it would refuse this request, without running it.

        Returns None if it would not, or does not say within CHECK_TIMEOUT_S.
        """
        try:
            reply = await self._backends[backend].ask(
                "POST", "/internal/validate" + path, body, timeout_s=CHECK_TIMEOUT_S
            )
            status = reply.status
            error = orjson.loads(reply.text)["error"] if status in _CLIENT_S_MISTAKES else None
            if error is None or error.get("code") == _NO_SUCH_PATH:
                return None
            return errors.upstream_refused(status, error)
        except (UpstreamError, TimeoutError, ValueError, KeyError, TypeError, AttributeError) as problem:
            logger.info("the engine does not check a request that waits: %s", problem)
            return None

    def give_up_silent(self, backend: int, silent_s: float) -> None:
        """Break off the responses of a backend that has sent nothing for so long."""
        self._backends[backend].pool.give_up_silent(silent_s)

    # UpstreamResponse calls the methods below.

    def broke_off(self, backend: int, error: UpstreamError, paused_s: float) -> UpstreamFailedError:
        """Return the error for the client after an incomplete response.

        `paused_s`: seconds that the engine has had to wait for us.
        """
        if isinstance(error, SilentError):
            return UpstreamFailedError(errors.upstream_timeout(self._settings.idle_timeout_s))
        logger.warning("the engine%s broke off its response: %s", self._name(backend), error)
        if paused_s <= LONG_PAUSE_S:
            self._on_broken(backend)
        return UpstreamFailedError(errors.upstream_broke(), broke_off=True)

    async def refuse(self, backend: int, status: int) -> None:
        """Raise an error for a status of the engine that must not reach the client; else do nothing.

        Raises:
            EngineAwayError: the engine is loading.
            EngineBusyError: it is not ours and has no room, or refuses our key; and there are others.
            ApiError: 502, the only engine refuses our key.
        """
        if status == HTTPStatus.UNAUTHORIZED:
            # The operator's mistake: the user would look for it in a key that is good.
            logger.error(
                "the engine%s refuses the key: set LLAMA_SERVER_API_KEY%s to the engine's own",
                self._name(backend),
                ", or its file in LLAMA_SERVER_BACKENDS," if self._settings.backends else "",
            )
            if len(self._backends) == 1:
                raise errors.upstream_broke()
            self._on_refused(backend)
            raise EngineBusyError
        engine = await engine_status(self._backends[backend].url)
        if not engine.ready:
            raise EngineAwayError
        # Ours has room for what it gets: it refuses this request alone, such as for its schema. Users
        # must not be able to take slots from others that way.
        if len(self._backends) > 1 and engine.slots is None:
            raise EngineBusyError

    def unanswered(self, backend: int, error: UpstreamError) -> Exception:
        """Return the exception for a request that got no response."""
        if isinstance(error, ConnectError):
            logger.info("cannot connect to the engine%s: %s", self._name(backend), error)
            return EngineAwayError()
        if isinstance(error, SilentError):
            return errors.upstream_timeout(self._settings.idle_timeout_s)
        logger.warning("the engine%s broke off: %s", self._name(backend), error)
        self._on_broken(backend)
        return UpstreamFailedError(errors.upstream_broke(), broke_off=True)

    def _name(self, backend: int) -> str:
        return f" {self._backends[backend].url}" if len(self._backends) > 1 else ""


class UpstreamResponse:
    """The engine's response to one request. A context manager: open while the body is read.

    Entering it sends the request and waits for the head of the response. Leaving it before the end of
    the body closes the connection, from which the engine learns that nobody wants the rest. An
    UpstreamError that leaves the context (from `news`) becomes an UpstreamFailedError.

    Raises:
        EngineAwayError: on entry, there is no engine that could have seen the request.
        EngineBusyError: on entry, one of several has no room for it.
        UpstreamFailedError: on entry, the engine broke off before it responded.
        ApiError: on entry, it was silent for too long (504), or refuses our key (502).
    """

    parser: ResponseParser
    """Has the head, and the part of the body that has arrived."""
    take: Callable[[], bytes]
    """Returns the unread part of the body that has arrived, perhaps nothing; does not wait."""
    news: Callable[[], Awaitable[None]]
    """Waits until something has happened: more of the body may have arrived.

    Raises UpstreamError if nothing more will come of a response that is incomplete.
    """

    length: int | None
    """Length of the body, if it is known before its end."""

    def __init__(
        self,
        relay: Relay,
        backend: int,
        pool: UpstreamPool,
        request: tuple[bytes, bytes, bool, bool],
        *,
        hide_usage: bool,
    ) -> None:
        self._relay = relay
        self._backend = backend
        self._pool = pool
        self._request = request
        self._hide_usage = hide_usage
        self._connection: UpstreamConnection

    async def __aenter__(self) -> Self:
        head, body, bodiless, is_patient = self._request
        try:
            connection = await self._pool.send(head, body, bodiless=bodiless, is_patient=is_patient)
        except UpstreamError as error:
            raise self._relay.unanswered(self._backend, error) from error
        self._connection = connection
        if connection.parser.status in _NOT_FOR_CLIENTS:
            try:
                await self._relay.refuse(self._backend, connection.parser.status)
            except BaseException:
                self._pool.release(connection)
                raise
        self.parser, self.take, self.news = connection.parser, connection.take, connection.news
        self.length = connection.parser.length
        if self._hide_usage and connection.parser.event_stream:
            self.take = without_usage(connection)
            self.length = None
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        self._pool.release(self._connection)
        if isinstance(error, UpstreamError):
            paused_s = self._connection.paused_s
            raise self._relay.broke_off(self._backend, error, paused_s) from error

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
