"""What is relied on in aiohttp's parser and stream reader beyond their documentation."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

GET = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
LIMIT = 1000


class Reader:
    """A protocol with the three members that the parser and the stream reader use, and no others."""

    connected = True

    def __init__(self) -> None:
        self.paused = False
        self.parser = HttpRequestParser(
            cast("BaseProtocol", self),
            asyncio.get_running_loop(),
            LIMIT,
            auto_decompress=False,
            max_msg_queue_size=1,
        )

    def pause_reading(self) -> None:
        """As `RequestReader` has it."""
        self.paused = True
        self.parser.pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """As `RequestReader` has it."""
        if self.paused:
            self.paused = False
            if resume_parser:
                self.feed(b"")

    def feed(self, data: bytes) -> list[tuple[RawRequestMessage, Any]]:
        """The messages whose heads are complete now."""
        return list(self.parser.feed_data(data)[0])


async def test_a_message_at_a_time_is_parsed() -> None:
    """The next one comes when the one before has been consumed; nothing between them is lost."""
    reader = Reader()
    ((first, payload),) = reader.feed(GET % 1 + GET % 2 + GET[:5])
    assert (first.path, payload) == ("/1", EMPTY_PAYLOAD)
    reader.parser.message_consumed()
    ((second, _),) = reader.feed(b"")
    assert second.path == "/2"
    reader.parser.message_consumed()
    assert reader.feed(b"") == []
    ((third, _),) = reader.feed((GET % 3)[5:])
    assert third.path == "/3"


async def test_what_is_behind_a_message_is_not_looked_at() -> None:
    """It is no HTTP, which shows when the message before has been consumed."""
    reader = Reader()
    ((message, payload),) = reader.feed(POST % 2 + b"{}\0")
    assert payload.is_eof()
    assert payload.read_nowait() == b"{}"
    assert not message.should_close
    reader.parser.message_consumed()
    with pytest.raises(HttpProcessingError):
        reader.feed(b"")


async def test_a_body_that_nobody_reads_is_paused_at_twice_the_limit() -> None:
    """The reader asks for it; once it has been read, it asks for more."""
    reader = Reader()
    ((_, payload),) = reader.feed(POST % 4000 + b"x" * LIMIT)
    assert not reader.paused
    reader.feed(b"y" * (LIMIT + 1))
    assert reader.paused
    assert await payload.readany() == b"x" * LIMIT + b"y" * (LIMIT + 1)
    assert not reader.paused
    reader.feed(b"z" * 1999)
    assert payload.is_eof()
    assert await payload.readany() == b"z" * 1999


async def test_the_parser_keeps_what_it_was_given_beyond_a_pause() -> None:
    """It goes on with that when it is fed next, if only with nothing: here when the body is read."""
    reader = Reader()
    chunk = b"%x\r\n%b\r\n" % (LIMIT + 1, b"x" * (LIMIT + 1))
    ((_, payload),) = reader.feed(CHUNKED + chunk * 3 + b"0\r\n\r\n")
    assert reader.paused
    assert await payload.readany() == b"x" * 2 * (LIMIT + 1)
    assert await payload.readany() == b"x" * (LIMIT + 1)
    assert payload.is_eof()


async def test_chunks_that_are_not_valid_raise_and_leave_the_reader_waiting() -> None:
    """Which is why the connection has to tell the reader."""
    reader = Reader()
    ((_, payload),) = reader.feed(CHUNKED + b"2\r\n{}\r\n")
    assert payload.read_nowait() == b"{}"
    with pytest.raises(HttpProcessingError):
        reader.feed(b"zz\r\n")
    assert payload.exception() is None
    assert not payload.is_eof()


async def test_what_is_behind_a_request_to_upgrade_is_lost() -> None:
    """Which is why the connection is kept only where nothing is behind it."""
    reader = Reader()
    upgrade = GET[:-2] % 1 + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    ((message, _),) = reader.feed(upgrade + GET % 2)
    assert message.upgrade
    reader.parser.message_consumed()
    assert reader.feed(b"") == []
    ((third, _),) = reader.feed(GET % 3)
    assert third.path == "/3"


async def test_a_trailer_is_taken_for_a_header_of_the_next_request() -> None:
    """Which is why the connection is closed after chunks. Where this fails, it need not be any more."""
    reader = Reader()
    reader.feed(CHUNKED + b"0\r\nX-Trailer: 1\r\n\r\n")
    reader.parser.message_consumed()
    ((message, _),) = reader.feed(GET % 1)
    assert "X-Trailer" in message.headers
