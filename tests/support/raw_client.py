"""A client that sends given bytes and parses the responses strictly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

DEADLINE_S = 20.0
PROBE = b"GET /healthz HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"
"""Sent on a connection that is still open: the next response must be its own."""


@dataclass(frozen=True, kw_only=True)
class RawAnswer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The error's code in OpenAI's envelope."""
        code = json.loads(self.body)["error"]["code"]
        return None if code is None else str(code)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The responses on a connection. `closed`: the server closed it after them."""

    answers: list[RawAnswer]
    closed: bool

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        """Send each part in a TCP segment of its own, as far as TCP allows that."""
        try:
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass  # it was refused already; the response is still to be read

    async def answer(self, *, to_head: bool = False) -> RawAnswer | None:
        """Read the next response; None at the end of the connection."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                rest = error.partial
            except ConnectionError:
                rest = b""
            else:
                return await self._parsed(head, to_head)
        assert rest == b""
        return None

    async def _parsed(self, head: bytes, to_head: bool) -> RawAnswer:
        line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), line
        pairs = [text.split(": ", 1) for text in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), "a header twice"
        body = b"" if to_head or int(status) < 200 else await self._body(headers)
        return RawAnswer(status=int(status), headers=headers, body=body)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            assert "transfer-encoding" not in headers
            return await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.read()
        body = b""
        while size := int((await self.reader.readuntil(b"\r\n")).strip(), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"
        return body

    async def ended(self) -> bool:
        """Wait until the server closes or resets the connection; AssertionError if more data comes."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                more = await self.reader.read(1)
        except ConnectionError:
            return True
        assert more == b"", more
        return True

    async def outcome(self, count: int, *, closes: bool, to_head: bool = False) -> Outcome:
        """Read `count` responses; then expect the end, or the response to a probe as the next."""
        answers: list[RawAnswer] = []
        for _ in range(count):
            answer = await self.answer(to_head=to_head)
            if answer is None:
                return Outcome(answers=answers, closed=True)
            answers.append(answer)
        if not closes:
            await self.send(PROBE)
            probe = await self.answer()
            if probe is None:
                return Outcome(answers=answers, closed=True)
            assert (probe.status, json.loads(probe.body)["status"]) == (200, "ok"), probe
        await self.ended()
        return Outcome(answers=answers, closed=closes)


@asynccontextmanager
async def raw_client(url: str) -> AsyncIterator[RawClient]:
    """Open a connection to a server for as long as the context lasts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]), limit=2**24)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()


async def converse(
    url: str, parts: Sequence[bytes], count: int, *, closes: bool, to_head: bool = False
) -> Outcome:
    """Send these parts on a new connection and return the outcome: see `RawClient.outcome`."""
    async with raw_client(url) as client:
        sending = asyncio.ensure_future(client.send(*parts))
        try:
            return await client.outcome(count, closes=closes, to_head=to_head)
        finally:
            sending.cancel()
