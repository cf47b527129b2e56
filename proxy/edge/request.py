"""A client's request as the handler sees it: its head, its body as it arrives, and its client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from aiohttp import HttpVersion
from aiohttp.streams import StreamReader
from multidict import CIMultiDictProxy

if TYPE_CHECKING:
    from aiohttp.http import RawRequestMessage


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Client(Protocol):
    """The connection that a request arrived on."""

    transport: asyncio.Transport | None
    """None once the connection is lost."""
    remote: str
    """The peer's IP address."""

    writing_paused: bool
    """Whether the client has to take something before more is written: call `drained`."""

    async def drained(self) -> None:
        """Wait until the client has taken enough.

        Raises:
            ConnectionError: the connection is lost.
        """

    def write(self, data: bytes) -> None:
        """Send `data` by the end of this turn of the event loop.

        Raises:
            ConnectionError: the connection is closed.
        """

    def flush(self) -> None:
        """Send now what has been written."""

    def closes_after(self, request: Request, status: int) -> bool:
        """Whether the connection is closed after a response with this status."""


class Request:
    """One request. aiohttp's parser made its head, and fills `payload`, from which the body is read."""

    __slots__ = (
        "begun", "client", "content_length", "cors_headers", "headers", "is_last", "keep_alive",
        "method", "path", "payload", "raw_headers", "target", "task", "version",
    )  # fmt: skip

    task: asyncio.Task[object]
    """The task that answers the request. Cancelled when its client leaves."""

    def __init__(self, message: RawRequestMessage, payload: StreamReader, client: Client) -> None:
        self.method: str = message.method
        self.target: str = message.path
        """The path and query as the client sent them, but for a slash at the path's end."""
        self.path, mark, query = self.target.partition("?")
        if self.path[-1:] == "/" != self.path:  # many a client's base URL brings a slash too many
            self.path = self.path[:-1]
            self.target = self.path + mark + query
        self.version: HttpVersion = message.version
        self.headers: CIMultiDictProxy[str] = message.headers
        self.content_length = int(self.headers.get("Content-Length", 0))
        """The body's size in bytes, 0 where the head does not give it. The parser has checked that it is
        a number."""
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        """Names and values as the client sent them."""
        self.keep_alive = not message.should_close
        """Whether the client wants to keep the connection."""
        self.payload = payload
        self.client = client
        self.cors_headers: Mapping[str, str] = _NO_HEADERS
        """Headers of every response to this request, for a page of another origin."""
        self.begun = False
        """Whether the response has begun: its status can no longer be changed."""
        self.is_last = False
        """Whether the connection is closed after the response. Known once the response has begun."""
