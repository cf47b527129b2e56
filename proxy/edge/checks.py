"""What HTTP itself does not allow: refused before anybody asks whose request it is.

aiohttp's parser (llhttp) finds most of it; here is what status and words each finding gets, and what
that parser lets pass although it must not reach an engine. No answer and no line of the log repeats the
request's text: a key may be in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import HttpVersion10, HttpVersion11
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong

from proxy import errors
from proxy.edge.request import Request
from proxy.errors import ApiError
from proxy.records.request_ids import new_request_id, public_form

MAX_TARGET_BYTES = 8190
MAX_FIELD_BYTES = 8192
"""Of a header. Not the same as the one above: the parser's error tells by the limit which it was."""
MAX_FIELDS = 100
_ERROR = HTTPStatus.BAD_REQUEST
VERSIONS = (HttpVersion10, HttpVersion11)

_TOKEN_FIRST = re.compile(r"\n\n  b['\"][!#$%&*+.^_`|~0-9A-Za-z-]+ /")
"""In the parser's error: the line that it failed at begins as one with a method does."""


_BY_WORDS: tuple[tuple[str, Callable[[], ApiError]], ...] = (
    ("Too many headers", lambda: errors.head_too_large(f"more than {MAX_FIELDS} headers")),
    ("Invalid HTTP version", errors.http_version),
    ("PRI/Upgrade", errors.http_version),
    ("nvalid `Transfer-Encoding`", errors.transfer_coding),
)
"""llhttp's words for what has a status of its own."""


def error_of(exception: BaseException) -> ApiError:
    """The answer to what the parser refused.

    Relied on in aiohttp 3.14: LineTooLong's second argument is the limit, other kinds tell themselves
    apart by llhttp's words only. tests/proxy/edge/test_attacks.py holds each to its status.
    """
    text = str(getattr(exception, "message", ""))
    if isinstance(exception, LineTooLong) and exception.args[1] == MAX_TARGET_BYTES:
        return errors.target_too_long(MAX_TARGET_BYTES)
    if isinstance(exception, LineTooLong):
        return errors.head_too_large(f"a header of more than {MAX_FIELD_BYTES} bytes")
    if isinstance(exception, BadHttpMethod) and _TOKEN_FIRST.search(text):
        return errors.unknown_method()
    for words, error in _BY_WORDS:
        if words in text.partition("\n\n")[0]:  # what follows is the request's
            return error()
    return errors.not_http()


def check(request: Request) -> None:
    """Refuse what the parser lets pass.

    Raises:
        ApiError: 505 for another version of HTTP (llhttp takes 0.9 and 2.0); 400 for a transfer coding
            in HTTP/1.0 (RFC 9112, section 6.1); 501 for a coding other than chunked, which llhttp
            passes on still coded, and for CONNECT.
    """
    if request.version not in VERSIONS:
        raise errors.http_version()
    coding = request.headers.get("Transfer-Encoding")
    if coding is not None:
        if request.version == HttpVersion10:
            raise errors.not_http()
        if coding.lower() != "chunked":
            raise errors.transfer_coding()
    if request.method == "CONNECT":
        raise errors.unknown_method()


def is_last(request: Request, status: int) -> bool:
    """Whether the connection must be closed after an answer with this status.

    After chunks: aiohttp 3.14 takes a trailer for a header of the next request, which behind a proxy
    that shares connections may be another user's. And where a client waited for a 100 (Continue) in
    vain, nobody knows whether the body will come (RFC 9110, section 10.1.1).
    """
    if not request.keep_alive or "Transfer-Encoding" in request.headers:
        return True
    if status < _ERROR:
        return False
    return status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or "Expect" in request.headers


def written_out(error: ApiError) -> bytes:
    """An error as bytes, where there is no request that could be answered. The connection is closed
    after it: where the next request begins is not certain."""
    body = error.body()
    headers = {
        **error.headers,
        "Server": "llamaserve",
        "x-request-id": public_form(new_request_id()),
        "openai-processing-ms": "0",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode("ascii") + b"\r\n" + body
