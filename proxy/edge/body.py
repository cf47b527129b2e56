"""A request's body: read whole, within a bound on memory, before the engine sees any of it.

A slow upload must not hold the engine, and a request that has to wait, or to be sent to the engine a
second time, has all that it needs.

Memory is charged for bytes that have arrived and a step ahead of them, never for an announced length.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from math import inf

import orjson
from aiohttp import HttpVersion11
from aiohttp.http import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD

from proxy import errors
from proxy.edge.request import Request
from proxy.errors import ApiError

IDLE_S = 60.0
"""A client that sends nothing of its body for so long has given up."""
MIN_BYTES_PER_S = 8192
"""The least average speed of a body after its first IDLE_S seconds."""
STEP_BYTES = 65_536
"""A body under way is charged in steps of this size. It covers what has arrived and is still buffered
on its way here."""
USER_SHARE = 2
"""The bodies of one user may fill this part of the memory for all."""
RETRY_S = 2.0

_STREAM = re.compile(rb'"stream"\s*:\s*true\b')


class BodyMemory:
    """A bound on the bytes of all request bodies that are being read or held, and of each user's.

    Where memory is short, an upload under way gives way to a user who holds less, and so does a request
    that waits for its turn. One that has its turn never does.

    Args:
        limit_bytes: the bound for all users.
        body_limit_bytes: the size that one body may have; the bounds are never less.
        clock: gives monotonic seconds.
    """

    def __init__(self, limit_bytes: int, *, body_limit_bytes: int, clock: Callable[[], float]) -> None:
        self._limit = max(limit_bytes, body_limit_bytes)
        self._user_limit = max(self._limit // USER_SHARE, body_limit_bytes)
        self._by_user: dict[int, int] = {}
        self._yielding: dict[int, set[Body]] = {}
        """The bodies of each user that give way."""
        self.clock = clock
        self.held_bytes = 0

    def take(self, user_id: int, size: int) -> None:
        """Charge a user for `size` more bytes.

        Raises:
            ApiError: 503, they do not fit in the bounds. Nothing has been charged.
        """
        held = self._by_user.get(user_id, 0) + size
        if held > self._user_limit:
            raise errors.body_memory_full(RETRY_S)
        if self.held_bytes + size > self._limit:
            self._make_room(size, held)
        self.held_bytes += size
        self._by_user[user_id] = held

    def give_back(self, user_id: int, size: int) -> None:
        """Return bytes that were charged by `take`."""
        self.held_bytes -= size
        self._by_user[user_id] -= size
        if not self._by_user[user_id]:
            del self._by_user[user_id]

    def yields(self, body: Body) -> None:
        """Let this body give way when memory is short, until `stays`."""
        self._yielding.setdefault(body.user_id, set()).add(body)

    def stays(self, body: Body) -> None:
        """The body gives way no longer. Calling it twice does no harm."""
        bodies = self._yielding.get(body.user_id, set())
        bodies.discard(body)
        if not bodies:
            self._yielding.pop(body.user_id, None)

    def _make_room(self, size: int, held: int) -> None:
        """End uploads and waiting requests until `size` bytes are free for a user who will hold `held`.

        Only users who hold more than that give way, the one with most first. Of a user it is the slowest
        upload first, and after all uploads the largest body that waits.

        Raises:
            ApiError: 503, that does not free enough. Nothing has been ended.
        """
        now, chosen = self.clock(), list[Body]()
        missing = self.held_bytes + size - self._limit
        for user_id in sorted(self._yielding, key=lambda user: self._by_user.get(user, 0), reverse=True):
            left = self._by_user.get(user_id, 0)
            for body in sorted(self._yielding[user_id], key=lambda body: body.rank(now)):
                if missing <= 0 or left <= held:
                    break
                chosen.append(body)
                left -= body.charged
                missing -= body.charged
        if missing > 0:
            raise errors.body_memory_full(RETRY_S)
        for body in chosen:
            body.give_way()


class Body:
    """One request's body, and the memory charged for it. `leave` must be called in any case.

    Attributes:
        content: the whole body, once `read` has returned.
        charged: the bytes that its user is charged for it.
    """

    __slots__ = (
        "_arrived", "_begun", "_end", "_error", "_memory", "_request", "charged", "content", "user_id",
    )  # fmt: skip

    def __init__(self, memory: BodyMemory, user_id: int) -> None:
        self._memory = memory
        self.user_id = user_id
        self._error: ApiError | None = None
        """Set where an upload has given way."""
        self._end: Callable[[ApiError], object] | None = None
        """Ends the request of a body that waits."""
        self.charged = 0
        self.content = b""

    async def read(self, request: Request, limit_bytes: int) -> None:
        """Read all of it into `content`.

        Raises:
            ApiError: 413 over the limit, 400 for a body that breaks off, 408 for one that stops or is
                too slow, 503 where there is no memory for it.
        """
        payload = request.payload
        if payload.is_eof():
            self.content = data = payload.read_nowait()
            if data:
                size = len(data)
                if size > limit_bytes:
                    raise errors.body_too_large(limit_bytes)
                self._memory.take(self.user_id, size)
                self.charged = size
            return
        self._request = request
        self._arrived = bytearray()
        self._begun = self._memory.clock()
        self._memory.yields(self)
        try:
            self._charge(self._ahead(0, limit_bytes))
            send_continue(request)
            await self._read_slowly(request, limit_bytes)
            self.content = bytes(self._arrived)
            self._charge(len(self.content))
        finally:
            self._memory.stays(self)
            self._arrived.clear()

    def waits(self, end: Callable[[ApiError], object]) -> None:
        """The request waits for its turn: until `stays`, `end` may be called with an error for it.

        Not if its body is small: ending it would free next to nothing.
        """
        if self.charged >= STEP_BYTES:
            self._end = end
            self._memory.yields(self)

    def stays(self) -> None:
        """The request waits no longer."""
        self._memory.stays(self)

    def leave(self) -> None:
        """Return its memory."""
        if self.charged:
            self._memory.give_back(self.user_id, self.charged)
            self.charged = 0

    def rank(self, now: float) -> tuple[float, int]:
        """Those that rank lower give way first: by the average speed of an upload. `now`: monotonic."""
        if self._end is not None:
            return inf, -self.charged
        return len(self._arrived) / (now - self._begun + 1.0), 0

    def give_way(self) -> None:
        """Free its memory, and have `read` raise a 503, or end the request that waits with one."""
        self._memory.stays(self)
        self.leave()
        if self._end is not None:
            self._end(errors.request_gave_way(RETRY_S))
            return
        self._arrived.clear()
        self._error = error = errors.upload_gave_way(RETRY_S)
        self._request.payload.set_exception(error)  # wakes `read`, if it waits

    def _charge(self, size: int) -> None:
        """Charge `size` bytes in all, whatever has been charged before."""
        if size > self.charged:
            self._memory.take(self.user_id, size - self.charged)
        elif size < self.charged:
            self._memory.give_back(self.user_id, self.charged - size)
        self.charged = size

    def _ahead(self, arrived: int, limit_bytes: int) -> int:
        """The bytes to charge when so many have arrived: a step more, but not more than may come."""
        return min(arrived + STEP_BYTES, self._request.content_length or limit_bytes)

    async def _read_slowly(self, request: Request, limit_bytes: int) -> None:
        """Read into `_arrived` what has not all arrived yet."""
        arrived = self._arrived
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(IDLE_S) as patience:
                async for chunk in request.payload.iter_any():
                    size = len(arrived) + len(chunk)
                    if size > limit_bytes:
                        raise errors.body_too_large(limit_bytes)
                    if size + STEP_BYTES // 2 > self.charged:
                        self._charge(self._ahead(size, limit_bytes))
                    arrived += chunk
                    slowest = begun + IDLE_S + len(arrived) / MIN_BYTES_PER_S
                    patience.reschedule(min(loop.time() + IDLE_S, slowest))
        except TimeoutError as error:
            if loop.time() < begun + IDLE_S + len(arrived) / MIN_BYTES_PER_S:
                raise errors.body_timeout(IDLE_S) from error
            raise errors.body_too_slow(MIN_BYTES_PER_S) from error
        except HttpProcessingError as error:
            raise errors.bad_request("The request body broke off or is not valid HTTP.") from error
        if self._error is not None:
            raise self._error


def check_body(request: Request, limit_bytes: int) -> None:
    """Refuse a body that its headers rule out.

    Raises:
        ApiError: 400 for a body on GET or HEAD, 413 over the limit, 415 for a compressed body.
    """
    if request.payload is not EMPTY_PAYLOAD and request.method in ("GET", "HEAD"):
        raise errors.body_on_get(request.method)
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise errors.unsupported_encoding(encoding)
    if request.content_length > limit_bytes:
        raise errors.body_too_large(limit_bytes)


def send_continue(request: Request) -> None:
    """Ask for the body, if the client waits to be asked (RFC 9110, section 10.1.1)."""
    expects = request.headers.get("Expect", "").lower() == "100-continue"
    if expects and request.version == HttpVersion11:
        request.client.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def wants_stream(body: bytes) -> bool:
    """Whether the client asks for server-sent events. Parses the body: meant for requests that wait."""
    if not _STREAM.search(body):
        return False
    # Off the event loop: it may be megabytes, and others are being served.
    return await asyncio.to_thread(_stream_is_true, body)


def _stream_is_true(body: bytes) -> bool:
    try:
        fields = orjson.loads(body)
    except ValueError:
        return False
    return isinstance(fields, dict) and fields.get("stream") is True
