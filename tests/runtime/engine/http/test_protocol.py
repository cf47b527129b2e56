"""Connections to the engine: heads are bounded, and everything else is as HTTP has it."""

from __future__ import annotations

import socket

import pytest

from runtime.engine.http.protocol import MAX_HEAD_BYTES
from tests.support.engine import API_KEY, Engine

FILLER = b"x-filler: " + b"x" * 4000 + b"\r\n"
BUFFERS_BYTES = 16 * 2**20
"""More than the sockets' buffers hold of what nobody reads."""


def exchanged(engine: Engine, *pieces: bytes) -> tuple[bytes, int]:
    """What comes back until the engine closes or 10 s of silence, and how much could be sent."""
    received, sent = b"", 0
    with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
                sent += len(piece)
            while data := client.recv(65_536):
                received += data
        except OSError:
            pass
    return received, sent


def test_a_head_without_an_end_is_refused(quick: Engine) -> None:
    """Otherwise one client without a key could fill the memory."""
    received, _ = exchanged(quick, b"GET /health HTTP/1.1\r\nhost: a\r\n", *[FILLER] * 18)
    assert received.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "start",
    [
        b"GET /" + b"x" * 1000,
        b"GET /health HTTP/1.1\r\nhost: a\r\nx: ",
        b"POST /health HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;",
        b"POST /health HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: ",
    ],
    ids=["first line", "header", "chunk extension", "trailer"],
)
def test_nothing_that_does_not_end_is_read_for_ever(quick: Engine, start: bytes) -> None:
    """First line, header, extension of a chunk or trailer."""
    _, sent = exchanged(quick, start, *[b"x" * 65_536] * 512)
    assert sent < MAX_HEAD_BYTES + BUFFERS_BYTES


def test_a_long_body_is_no_long_head(quick: Engine) -> None:
    """Whole, in pieces and in chunks; the answer is the path's own."""
    body = b" " * 400_000
    head = b"POST /extras/tokenize HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
    head += b"authorization: Bearer %b\r\n" % API_KEY.encode()
    whole = head + b"content-length: %d\r\n\r\n" % len(body)
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    for pieces in (
        [whole + body],
        [whole, *[body[:1000]] * 400],
        [head + b"transfer-encoding: chunked\r\n\r\n", chunk, b"0\r\n\r\n"],
    ):
        received, _ = exchanged(quick, *pieces)
        assert b'"code":"invalid_json"' in received


def test_what_is_not_http_is_a_400(quick: Engine) -> None:
    """And the connection is closed."""
    received, _ = exchanged(quick, b"hello\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 400 ")
    both = (
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    received, _ = exchanged(quick, both)
    assert received.startswith(b"HTTP/1.1 400 ")
