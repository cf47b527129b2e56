"""Attacks on the proxy's HTTP parser, as bytes, and what the proxy must do with each."""

from __future__ import annotations

from dataclasses import dataclass

MODELS = "/v1/models"
COMPLETIONS = "/v1/completions"
KEY = b"{KEY}"
"""Placeholder for a valid key."""


def head(line: str, *headers: str, host: str | None = "h", key: bool = True) -> bytes:
    """Build a request head, with a valid key if `key` is set and a Host header unless `host` is None."""
    lines = [line, *([] if host is None else [f"Host: {host}"]), *headers]
    lines += ["Authorization: Bearer {KEY}"] if key else []
    return "".join(f"{text}\r\n" for text in lines).encode("latin-1") + b"\r\n"


def get(*headers: str, path: str = MODELS) -> bytes:
    return head(f"GET {path} HTTP/1.1", *headers)


def post(*headers: str, path: str = COMPLETIONS, body: bytes = b"") -> bytes:
    return head(f"POST {path} HTTP/1.1", *headers) + body


def sized(body: bytes = b"{}", *headers: str) -> bytes:
    return post(f"Content-Length: {len(body)}", *headers, body=body)


def chunked(body: bytes, *headers: str, coding: str = "chunked") -> bytes:
    return post(f"Transfer-Encoding: {coding}", *headers, body=body)


GOOD = b"2\r\n{}\r\n0\r\n\r\n"
SMUGGLED = head("GET /v1/models/smuggled HTTP/1.1")
HIDDEN = head("GET /v1/models/smuggled HTTP/1.1", key=False)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """The bytes that are sent, and the responses and effects that must follow."""

    name: str
    sent: tuple[bytes, ...]
    answers: tuple[int, ...]
    closes: bool = True
    """The server must close the connection; if False, it must answer the next request on it."""
    reaches: tuple[tuple[str, bytes], ...] = ()
    """Target and body of each request that the engine receives."""
    to_head: bool = False
    piecemeal: bool = False
    """Send each byte in a TCP segment of its own."""
    without: tuple[str, ...] = ()
    """Text that no request to the engine may contain."""


def _framing() -> list[Attack]:
    ok = (MODELS, b"")
    smuggle = (sized(), SMUGGLED)
    both = ((COMPLETIONS, b"{}"), ("/v1/models/smuggled", b""))

    def refused(name: str, *sent: bytes, answers: tuple[int, ...] = (400,)) -> Attack:
        return Attack(name=name, sent=sent, answers=answers)

    return [
        refused("Content-Length twice, different", post("Content-Length: 2", "Content-Length: 5")),
        refused("Content-Length twice, equal", post("Content-Length: 2", "Content-Length: 2"), b"{}"),
        refused("Content-Length: 2, 2", post("Content-Length: 2, 2"), b"{}"),
        refused("Content-Length: +2", post("Content-Length: +2"), b"{}"),
        refused("Content-Length: -2", post("Content-Length: -2"), b"{}"),
        refused("Content-Length: 0x2", post("Content-Length: 0x2"), b"{}"),
        refused("Content-Length, empty", post("Content-Length: "), b"{}"),
        refused("Content-Length of 30 digits", post("Content-Length: " + "9" * 30), b"{}"),
        refused(
            "Transfer-Encoding, then Content-Length",
            chunked(GOOD, "Content-Length: 3") + SMUGGLED,
        ),
        refused(
            "Content-Length, then Transfer-Encoding",
            post("Content-Length: 3", "Transfer-Encoding: chunked", body=GOOD) + SMUGGLED,
        ),
        refused("Transfer-Encoding: chunked, chunked", chunked(GOOD, coding="chunked, chunked"),
                answers=(501,)),
        refused(
            "Transfer-Encoding: chunked, twice",
            chunked(GOOD, "Transfer-Encoding: chunked"),
            answers=(501,),
        ),
        refused("Transfer-Encoding: xchunked", chunked(GOOD, coding="xchunked"), answers=(501,)),
        refused("Transfer-Encoding: identity", chunked(GOOD, coding="identity"), answers=(501,)),
        refused("Transfer-Encoding: chunked, identity", chunked(GOOD, coding="chunked, identity"),
                answers=(501,)),
        refused("Transfer-Encoding: gzip, chunked", chunked(GOOD, coding="gzip, chunked"),
                answers=(501,)),
        refused("Transfer-Encoding: \\x0bchunked", chunked(GOOD, coding="\x0bchunked")),
        refused("Transfer-Encoding :chunked", post("Transfer-Encoding : chunked", body=GOOD)),
        refused("Transfer-Encoding folded", post("Transfer-Encoding:\r\n chunked", body=GOOD)),
        refused(
            "Transfer-Encoding in HTTP/1.0",
            head("POST /v1/completions HTTP/1.0", "Transfer-Encoding: chunked") + GOOD,
        ),
        Attack(
            name="chunk extension",
            sent=(chunked(b"2;a=b\r\n{}\r\n0\r\n\r\n"),),
            answers=(200,),
            reaches=((COMPLETIONS, b"{}"),),
        ),
        Attack(
            name="chunk extension of 200,000 bytes",
            sent=(chunked(b"2;a=" + b"b" * 200_000 + b"\r\n{}\r\n0\r\n\r\n"),),
            answers=(200,),
            reaches=((COMPLETIONS, b"{}"),),
        ),
        refused("chunk size 0x2", chunked(b"0x2\r\n{}\r\n0\r\n\r\n")),
        refused("chunk size -1", chunked(b"-1\r\n{}\r\n0\r\n\r\n")),
        refused("chunk size of 2^64 + 2", chunked(b"10000000000000002\r\n{}\r\n0\r\n\r\n")),
        refused("chunk size with a bare LF", chunked(b"2\n{}\r\n0\r\n\r\n")),
        refused("chunk longer than its size", chunked(b"2\r\n{}}\r\n0\r\n\r\n")),
        refused("no number for a chunk's size, later", chunked(b"2\r\n{}\r\n"), b"zz\r\n\r\n"),
        refused("a chunk of more than is allowed", chunked(b"ffffff\r\n" + b"x" * 0x110000),
                answers=(413,)),
        Attack(
            name="trailer with a key, then a request without one",
            sent=(
                chunked(b"2\r\n{}\r\n0\r\nX-A: 1\r\nAuthorization: Bearer {KEY}\r\n\r\n"),
                head("GET /v1/models/smuggled HTTP/1.1", key=False),
            ),
            answers=(200,),
            reaches=((COMPLETIONS, b"{}"),),
            without=("X-A",),
        ),
        Attack(
            name="the same in one segment",
            sent=(
                chunked(b"2\r\n{}\r\n0\r\nX-A: 1\r\nAuthorization: Bearer {KEY}\r\n\r\n")
                + head("GET /v1/models/smuggled HTTP/1.1", key=False),
            ),
            answers=(200,),
            reaches=((COMPLETIONS, b"{}"),),
        ),
        refused("trailer with a bare LF", chunked(b"2\r\n{}\r\n0\r\nX-A: 1\n\r\n")),
        Attack(
            name="Transfer-Encoding: CHUNKED",
            sent=(chunked(GOOD, coding="CHUNKED"),),
            answers=(200,),
            reaches=((COMPLETIONS, b"{}"),),
        ),
        Attack(name="two requests in a segment", sent=(b"".join(smuggle),), answers=(200, 200),
               closes=False, reaches=both),
        Attack(name="a request, byte by byte", sent=(get(),), piecemeal=True,
               answers=(200,), closes=False, reaches=(ok,)),
        Attack(name="a request, and in its segment what is none", sent=(get() + b"\x00\r\n\r\n",),
               answers=(200, 400), reaches=(ok,)),
    ]  # fmt: skip


def _heads() -> list[Attack]:
    ok = (MODELS, b"")

    def refused(name: str, *sent: bytes, status: int = 400) -> Attack:
        return Attack(name=name, sent=sent, answers=(status,))

    return [
        refused("head that does not come to its end (slow loris)", get()[:-2], status=408),
        refused("URL of 9,000 bytes", get(path=MODELS + "?" + "a" * 9000), status=414),
        refused("URL without an end", b"GET /" + b"a" * 100_000, status=414),
        refused("header of 9,000 bytes", get("X-A: " + "a" * 9000), status=431),
        refused("header's name of 9,000 bytes", get("X" * 9000 + ": a"), status=431),
        refused("header without an end", b"GET / HTTP/1.1\r\nX-A: " + b"a" * 100_000, status=431),
        refused("101 headers", get(*["X-A: a"] * 101), status=431),
        refused("70,000 bytes of headers, no end", get(*["X-A: " + "a" * 3500] * 20)[:-2], status=431),
        refused("line folded", get("X-A: b\r\n c")),
        refused("bare LF", get().replace(b"\r\n", b"\n")),
        refused("bare CR in a header", get("X-A: b\rX-B: c")),
        refused("blank before the colon", get("X-A : b")),
        refused("blank before the first header", b"GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
        refused("header without a colon", get("X-A")),
        refused("header without a name", get(": a")),
        refused("NUL in a header", get("X-A: a\0b")),
        refused("NUL in a header's name", get("X\0A: b")),
        refused("Host not there", head("GET /v1/models HTTP/1.1", host=None)),
        refused("Host twice", get("Host: i")),
        refused("HTTP/0.9", b"GET /v1/models\r\n\r\n", status=505),
        refused("HTTP/0.9, told so", head("GET /v1/models HTTP/0.9"), status=505),
        refused("HTTP/2.0 in the first line", head("GET /v1/models HTTP/2.0"), status=505),
        refused("HTTP/1.2", head("GET /v1/models HTTP/1.2"), status=505),
        refused("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status=505),
        refused("http/1.1", head("GET /v1/models http/1.1")),
        refused("method that nobody knows", head("FOO /v1/models HTTP/1.1"), status=501),
        refused("method in small letters", head("get /v1/models HTTP/1.1"), status=501),
        refused("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 4),
        refused("CONNECT", head("CONNECT 127.0.0.1:1 HTTP/1.1"), status=501),
        Attack(name="two blanks in the first line", sent=(head("GET  /v1/models HTTP/1.1"),),
               answers=(200,), closes=False, reaches=(ok,)),
        Attack(name="bytes that are no UTF-8 in a header", sent=(get("X-A: \xff\xfe"),),
               answers=(200,), closes=False, reaches=(ok,)),
        Attack(name="TRACE", sent=(head("TRACE /v1/models HTTP/1.1"),), answers=(405,), closes=False),
        Attack(name="OPTIONS *", sent=(head("OPTIONS * HTTP/1.1"),), answers=(404,), closes=False),
        Attack(name="HTTP/1.0", sent=(head("GET /v1/models HTTP/1.0", host=None),), answers=(200,),
               reaches=(ok,)),
        Attack(name="HTTP/1.0 with keep-alive", answers=(200,), closes=False, reaches=(ok,),
               sent=(head("GET /v1/models HTTP/1.0", "Connection: keep-alive", host=None),)),
        Attack(name="Upgrade: websocket", answers=(200,), reaches=(ok,), without=("Upgrade",),
               sent=(get("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
                     SMUGGLED)),
        Attack(name="Upgrade: h2c", answers=(200,), closes=False, reaches=(ok,),
               without=("Upgrade", "HTTP2-Settings"),
               sent=(get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"),)),
        Attack(name="headers that we alone set", answers=(200,), closes=False, reaches=(ok,),
               without=("forged",),
               sent=(get("X-Request-ID: forged%0d%0aX-A: 1", "X-Llamaserve-Usage: forged",
                         "x-ratelimit-limit-requests: forged", "Cookie: forged",
                         "Proxy-Authorization: forged"),)),
        Attack(name="Authorization twice", sent=(get("Authorization: Bearer x"),), answers=(401,),
               closes=False),
        Attack(name="Connection: Authorization, Host, Content-Length", answers=(200,), closes=False,
               reaches=((COMPLETIONS, b"{}"),),
               sent=(sized(b"{}", "Connection: Authorization, Host, Content-Length"),)),
    ]  # fmt: skip


def _targets() -> list[Attack]:
    bad = (
        "//v1/models /v1//models /v1/../docs /v1/models/../../docs /v1/models/.. /v1/./models "
        "/v1/models/%2e%2e/docs /v1/%6dodels /v1%2fmodels /v1/models/a%2fb /v1/models;x=1 /v1\\models "
        "/v1/models/..\\docs /v1/models/%00 /v1/models%0d%0aX-A:1 /V1/models "
        "http://other/v1/models https://h/v1/models /docs /openapi.json /admin"
    ).split()
    refused = [Attack(name=path, sent=(get(path=path),), answers=(404,), closes=False) for path in bad]
    broken = ["v1/models", "?x", "#x", "/v1/mod\tels", "/v1/mo\xffdels", "/v1/mo\0dels", "http://"]
    refused += [Attack(name=repr(path), sent=(get(path=path),), answers=(400,)) for path in broken]
    return [
        *refused,
        Attack(name="/v1/models/", sent=(get(path="/v1/models/"),), answers=(200,), closes=False,
               reaches=((MODELS, b""),)),
        Attack(name="/health", sent=(get(path="/health"),), answers=(200,), closes=False),
        *(Attack(name=path, sent=(get(path=path),), answers=(403,), closes=False)
          for path in ("/metrics", "/metrics/", "/metrics?x", "/admin/v1/users", "/admin/../v1/models")),
        Attack(name="/v1/models#fragment", sent=(get(path="/v1/models#fragment"),), answers=(404,),
               closes=False),
        Attack(name="/v1/models?x#fragment", sent=(get(path="/v1/models?x#fragment"),), answers=(200,),
               closes=False, reaches=(("/v1/models?x", b""),)),
        Attack(name="query of 8,000 bytes", sent=(get(path="/v1/models?" + "a" * 8000),), answers=(200,),
               closes=False, reaches=(("/v1/models?" + "a" * 8000, b""),)),
        Attack(name="query with ../, //, %00, @, http://", closes=False, answers=(200,),
               sent=(get(path="/v1/models?/../..//%00%0d%0a@http://x"),),
               reaches=(("/v1/models?/../..//%00%0d%0a@http://x", b""),)),
    ]  # fmt: skip


def _bodies() -> list[Attack]:
    expect = "Expect: 100-continue"
    return [
        Attack(name="body on GET", sent=(get("Content-Length: 2"), b"{}"), answers=(400,), closes=False),
        Attack(name="chunks on GET", sent=(get("Transfer-Encoding: chunked"), GOOD), answers=(400,)),
        Attack(name="a request as a GET's body", answers=(400,), closes=False,
               sent=(get(f"Content-Length: {len(HIDDEN)}"), HIDDEN)),
        Attack(name="body on HEAD", answers=(405,), closes=False, to_head=True,
               sent=(head("HEAD /v1/models HTTP/1.1", "Content-Length: 2"), b"{}")),
        Attack(name="Content-Length of 1 TB", sent=(post("Content-Length: 1000000000000"),),
               answers=(413,)),
        Attack(name="body that is refused, then a request", closes=False, answers=(404, 200),
               reaches=((MODELS, b""),),
               sent=(post("Content-Length: 9", path="/nowhere"), SMUGGLED[:9], get())),
        Attack(name="a wrong key with a body, then a request", closes=False, answers=(401, 200),
               reaches=((MODELS, b""),),
               sent=(head("POST /v1/completions HTTP/1.1", "Authorization: Bearer lsk_no",
                          "Content-Length: 9", key=False), SMUGGLED[:9], get())),
        Attack(name="Expect: 100-continue, with the body", closes=False, answers=(200,),
               sent=(sized(b"{}", expect),), reaches=((COMPLETIONS, b"{}"),), without=("Expect",)),
        Attack(name="Expect: 100-continue, wrong key, body not sent", answers=(401,),
               sent=(head("POST /v1/completions HTTP/1.1", expect, "Content-Length: 9", key=False),)),
        Attack(name="Expect: 100-continue, refused, then a request in the body's place", answers=(404,),
               sent=(post(expect, f"Content-Length: {len(HIDDEN)}", path="/nowhere"), HIDDEN)),
        Attack(name="Expect: 100-continue without a body", closes=False, answers=(200,),
               sent=(get(expect),), reaches=((MODELS, b""),)),
        Attack(name="Expect: something else", closes=False, answers=(200,),
               sent=(sized(b"{}", "Expect: miracles"),), reaches=((COMPLETIONS, b"{}"),)),
        Attack(name="gzip for a body", closes=False, answers=(415,),
               sent=(sized(b"\x1f\x8b", "Content-Encoding: gzip"),)),
        Attack(name="POST without a body", closes=False, answers=(200,), sent=(post(),),
               reaches=((COMPLETIONS, b""),)),
    ]  # fmt: skip


ATTACKS = [*_framing(), *_heads(), *_targets(), *_bodies()]
