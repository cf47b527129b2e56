"""An engine's answers mean the same however the network cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.upstream.parser import MAX_HEAD_BYTES, BadResponseError, ResponseParser

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = [
    OK + b"Content-Length: 5\r\n\r\nhello",
    OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
    OK + b"X: a\r\nX:  b \r\nEmpty:\r\ncontent-length:3\r\n\r\n\r\n\r",
    OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n10;x=y\r\n0123456789abcdef\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: Chunked\r\n\r\n2\r\n\r\n\r\n000\r\nTrailer: of it\r\nAnother:\r\n\r\n",
    OK + b"\r\nuntil it closes\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil it closes",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
    b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",
]
NO_ANSWERS = {
    "101": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "status 99": b"HTTP/1.1 099 OK\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a control character in the reason": b"HTTP/1.1 200 O\x07K\r\nContent-Length: 0\r\n\r\n",
    "a length in 1xx": b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n{}" + WHOLE[0],
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a length with a sign": OK + b"Content-Length: +2\r\n\r\n{}",
    "a length beyond all bounds": OK + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "a length beside chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks beside a length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "a coding that is not undone": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding without chunks": OK + b"Transfer-Encoding: gzip\r\n\r\nx",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a bare LF": OK + b"X: a\nY: b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR": OK + b"X: a\rY: b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a blank before the colon": OK + b"Content-Length : 0\r\n\r\n",
    "an endless head": OK + b"X: " + b"x" * 2 * MAX_HEAD_BYTES,
    "a head of many lines": OK + b"X: y\r\n" * MAX_HEAD_BYTES,
    "endless 1xx": b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_HEAD_BYTES,
}
NOT_WHOLE = {
    "a chunk size that is none": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
    "a chunk that is too long": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
    "a chunk of 2^64 bytes": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n10000000000000000\r\nx",
    "an endless extension": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n2;" + b"x" * 200_000,
    "an endless trailer": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: " + b"x" * 200_000,
    "closed within a length": OK + b"Content-Length: 3\r\n\r\n{}",
    "closed before the last chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
}
Head = tuple[int, bytes, list[tuple[bytes, bytes]], int | None]
Outcome = tuple[Head | None, bytes, bool, bool, bool]


def outcome(pieces: list[bytes], *, bodiless: bool = False) -> Outcome:
    """What becomes of an answer that comes in these pieces and is followed by a close.

    What comes when the answer is complete is nobody's; the connection must not be used again.
    """
    parser = ResponseParser()
    parser.begin(bodiless=bodiless)
    body, error, spoilt = b"", False, False
    try:
        for piece in pieces:
            if parser.complete:
                spoilt = spoilt or bool(piece.strip(b"\r\n"))
            else:
                parser.feed(piece)
                body += parser.take()
        reusable = parser.complete and parser.reusable and not spoilt
        parser.end()
    except BadResponseError:
        body += parser.take()
        error, reusable = True, False
    head = (parser.status, parser.reason, parser.headers, parser.length) if parser.status else None
    return head, body, parser.complete, error, reusable


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The data in pieces."""
    if draw(st.booleans()):
        return [data[i : i + 1] for i in range(len(data))]
    at = sorted(draw(st.sets(st.integers(1, len(data)), max_size=12)))
    return [data[a:b] for a, b in pairwise([0, *at, len(data)]) if a < b]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An answer, right or wrong, with some bytes changed, lost or added, and more after it."""
    data = draw(st.sampled_from(WHOLE)) + draw(
        st.sampled_from([b"", b"", b"\r\n", b"x", OK, *WHOLE[:2]])
    )
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        lost = draw(st.integers(0, 2))
        new = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"\0", b" ", b":", b"0", b"f", b";", b"\xff"])
        )
        data = data[:at] + new + data[at + lost :]
    return data


@settings(max_examples=300)
@given(st.data(), mutated(), st.booleans())
def test_any_cut_of_any_bytes_gives_the_same(data: st.DataObject, stream: bytes, bodiless: bool) -> None:
    """Head, body, whether it is whole, and whether the connection may be used again."""
    assert outcome(data.draw(cut(stream)), bodiless=bodiless) == outcome([stream], bodiless=bodiless)


@pytest.mark.parametrize("stream", WHOLE)
def test_a_whole_answer_is_taken_for_one(stream: bytes) -> None:
    """And one that lacks its last byte is not, if it has a way to tell."""
    _, _, complete, error, reusable = outcome([stream])
    assert (complete, error) == (True, False)
    until_closed = b"until" in stream
    assert reusable is (not until_closed and b"close" not in stream)
    _, _, complete, error, _ = outcome([stream[:-1]])
    assert complete is until_closed
    assert error is not until_closed


@pytest.mark.parametrize("stream", NO_ANSWERS.values(), ids=NO_ANSWERS)
@pytest.mark.parametrize("size", [10**9, 4096])
def test_what_is_no_answer_gives_nothing(stream: bytes, size: int) -> None:
    """Not even a head: the client can still be told in a status."""
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert outcome(pieces) == (None, b"", False, True, False)


@pytest.mark.parametrize("stream", NOT_WHOLE.values(), ids=NOT_WHOLE)
@pytest.mark.parametrize("size", [10**9, 4096])
def test_what_goes_wrong_later_keeps_what_came(stream: bytes, size: int) -> None:
    """The head and the body so far are there, and the error."""
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    head, body, complete, error, reusable = outcome(pieces)
    assert head is not None
    assert body.startswith(b"{}")
    assert (complete, error, reusable) == (False, True, False)


def test_what_follows_an_answer_spoils_the_connection() -> None:
    """The answer is good; what follows is no part of it."""
    for stream in WHOLE:
        if b"until" not in stream:
            _, body, complete, error, reusable = outcome([stream + WHOLE[0]])
            assert (body, complete, error, reusable) == (outcome([stream])[1], True, False, False)


def test_answers_of_one_connection_do_not_mix() -> None:
    """Neither headers nor trailers of one are seen in the next."""
    parser = ResponseParser()
    for _ in range(2):
        for stream in (s for s in WHOLE if b"until" not in s and b"close" not in s):
            parser.begin(bodiless=False)
            parser.feed(stream)
            assert parser.complete
            got = (parser.status, parser.reason, parser.headers, parser.length), parser.take()
            assert got == outcome([stream])[:2]


def test_an_answer_to_head_ends_with_its_head() -> None:
    """Whatever length that announces; the next answer is not taken for its body."""
    head, body, complete, error, reusable = outcome([OK + b"Content-Length: 9\r\n\r\n"], bodiless=True)
    assert head is not None
    assert (body, complete, error, reusable) == (b"", True, False, False)
