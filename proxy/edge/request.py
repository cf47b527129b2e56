"""A client's request as the steps behind the edge see it: its head, its body as it comes, its client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from aiohttp import HttpVersion
from aiohttp.streams import StreamReader
from multidict import CIMultiDictProxy

if TYPE_CHECKING:
    from aiohttp.http import RawRequestMessage


class Client(Protocol):
    """The connection that a request came on."""

    transport: asyncio.Transport | None
    """None once it is lost."""
    remote: str
    """The peer's address."""

    @property
    def writing_paused(self) -> bool:
        """Whether the client has to take something before more is written."""

    async def drained(self) -> None:
        """Wait until it has, or until the connection is lost."""

    def write(self, data: bytes) -> None:
        """Send it, by the end of this turn of the event loop; ConnectionError if the client has gone."""

    def flush(self) -> None:
        """Send what has been written at once."""

    def closes_after(self, request: Request, status: int) -> bool:
        """Whether an answer with this status is the connection's last."""


class Request:
    """One request. Its head is aiohttp's parser's, as is `payload`, from which the body is read."""

    __slots__ = (
        "begun", "client", "content_length", "headers", "is_last", "keep_alive", "method", "path",
        "payload", "raw_headers", "target", "task", "version",
    )  # fmt: skip

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        client: Client,
        task: asyncio.Task[object],
    ) -> None:
        self.method: str = message.method
        self.target: str = message.path
        """As it came: path and query."""
        self.path = self.target.partition("?")[0]
        self.version: HttpVersion = message.version
        self.headers: CIMultiDictProxy[str] = message.headers
        self.content_length = int(self.headers.get("Content-Length", 0))
        """Bytes of the body, 0 where the head does not say; the parser has seen that it is a number."""
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        """Names and values as they came."""
        self.keep_alive = not message.should_close
        """Whether the client wants to keep the connection."""
        self.payload = payload
        self.client = client
        self.task = task
        """The one that answers it."""
        self.begun = False
        """Whether the client gets a status by its answer: no other can be given any more."""
        self.is_last = False
        """Whether the connection is closed after the answer; known when that has begun."""
