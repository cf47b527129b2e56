"""Refuses what is not valid HTTP, before anybody asks whose request it is.

aiohttp's parser (llhttp) finds most of it. Here each finding gets its status and message, and what the
parser accepts but must not reach an engine is refused. No response and no log line repeats the request's
text: it may hold a key.
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
"""The limit for one header. It must differ from MAX_TARGET_BYTES: only the limit in the parser's error
shows which of the two was exceeded."""
MAX_FIELDS = 100
VERSIONS = (HttpVersion10, HttpVersion11)
_ERROR = HTTPStatus.BAD_REQUEST

_TOKEN_FIRST = re.compile(r"\n\n  b['\"][!#$%&*+.^_`|~0-9A-Za-z-]+ /")
"""Matches the parser's error where the line that it failed at begins like one with a method."""
_BY_PHRASE: tuple[tuple[str, Callable[[], ApiError]], ...] = (
    ("Too many headers", lambda: errors.head_too_large(f"more than {MAX_FIELDS} headers")),
    ("Invalid HTTP version", errors.http_version),
    ("PRI/Upgrade", errors.http_version),
    ("nvalid `Transfer-Encoding`", errors.transfer_coding),
)
"""Parts of llhttp's messages, and the errors that have a status of their own."""


def error_of(exception: BaseException) -> ApiError:
    """The response to what the parser has refused.

    Relied on in aiohttp 3.14: LineTooLong's second argument is the limit, and other errors differ in
    llhttp's messages only. tests/proxy/edge/test_attacks.py tests the status of each.
    """
    text = str(getattr(exception, "message", ""))
    if isinstance(exception, LineTooLong) and exception.args[1] == MAX_TARGET_BYTES:
        return errors.target_too_long(MAX_TARGET_BYTES)
    if isinstance(exception, LineTooLong):
        return errors.head_too_large(f"a header of more than {MAX_FIELD_BYTES} bytes")
    if isinstance(exception, BadHttpMethod) and _TOKEN_FIRST.search(text):
        return errors.unknown_method()
    for phrase, error in _BY_PHRASE:
        if phrase in text.partition("\n\n")[0]:  # the rest is a part of the request
            return error()
    return errors.not_http()


def check(request: Request) -> None:
    """Refuse what the parser accepts and this server does not.

    Raises:
        ApiError: 505 for another version of HTTP (llhttp takes 0.9 and 2.0); 400 for a transfer coding
            in HTTP/1.0 (RFC 9112, section 6.1); 501 for a coding other than chunked, whose body llhttp
            does not decode, and for CONNECT.
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
    """Whether the connection must be closed after a response with this status.

    It must after chunks: aiohttp 3.14 takes a trailer for a header of the next request, which may be
    another user's behind a proxy that shares connections. And it must where a client waited for a 100
    (Continue) that did not come: whether it will send the body is unknown (RFC 9110, section 10.1.1).
    """
    if not request.keep_alive or "Transfer-Encoding" in request.headers:
        return True
    if status < _ERROR:
        return False
    return status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or "Expect" in request.headers


def written_out(error: ApiError) -> bytes:
    """A whole response with this error, for what could not be read as a request.

    It says that the connection is closed: where the next request would begin is unknown.
    """
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
