"""Valid requests with random changes, on raw sockets, and what must hold of each."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from uuid import UUID

from tests.support.attacked import Attacked
from tests.support.raw_client import raw_client
from tests.support.strict_engine import Reached

_BYTES = (b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"\xff", b"\x7f", b"0", b"a")
_WORDS = (b"chunked", b"HTTP/1.0", b"HTTP/2.0", b"%00", b"..", b"//", b"-", b"+", b"0x", b"0\r\n\r\n")
_LINES = (
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 0\r\n",
    b"Host: h\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"GET / HTTP/1.1\r\n",
)
_SPLICES = _BYTES + _WORDS + _LINES
_ANSWER = re.compile(
    rb"HTTP/1\.[01] ([0-9]{3}) [^\n]*\n(?:[^\r\n]+\r\n)*?x-request-id: req_([0-9a-f]{32})\r\n"
)
IDLE_S = 0.5
"""A connection that says nothing for two such times says nothing more, unless the engine works on it."""


class Fuzz:
    """Sends changed requests, and checks what became of them.

    The id of an answer is the one that the engine got: so each request at the engine must be one that
    some client was answered, and the reverse. That it was answered once, and in what was sent there is
    a request line with its target and its body in one piece, is what a client can have meant.
    """

    def __init__(self, attacked: Attacked, seed: int) -> None:
        self._attacked = attacked
        self._random = random.Random(seed)  # noqa: S311 - for repeating a run, not for secrets
        self._number = 0
        self.statuses: Counter[int] = Counter()
        self.sent = 0
        self.reached = 0

    def summary(self) -> str:
        """The counts so far."""
        statuses = ", ".join(f"{count} × {status}" for status, count in sorted(self.statuses.items()))
        return f"{self.sent} connections, {self.reached} requests at the engine; answers: {statuses}"

    async def round(self, count: int, *, at_once: int = 8) -> None:
        """Send so many; AssertionError for what must not be."""
        for _ in range(count // at_once):
            sent = [self._changed(b"".join(self._valid() for _ in range(3))) for _ in range(at_once)]
            received = await asyncio.gather(*(self._exchange(data) for data in sent))
            for data, answers in zip(sent, received, strict=True):
                self._check(data, answers)
            engine = self._attacked.engine
            assert engine.malformed == []
            # The engine has what nobody was answered.
            assert engine.reached == [], (engine.reached, list(zip(sent, received, strict=True)))
        async with self._attacked.proxy.request("GET", "/healthz") as response:
            assert response.status == 200

    def _check(self, sent: bytes, received: bytes) -> None:
        self.sent += 1
        answers = _ANSWER.findall(received)
        self.statuses.update(int(status) for status, _ in answers)
        assert b"500" not in {status for status, _ in answers}, (sent, received)
        answered = [UUID(number.decode()) for status, number in answers if status == b"200"]
        assert len(set(answered)) == len(answered)
        engine = self._attacked.engine
        mine = [request for request in engine.reached if _id(request) in answered]
        assert [_id(request) for request in mine] == answered, (sent, mine, received)
        engine.reached = [request for request in engine.reached if request not in mine]
        self.reached += len(mine)
        for request in mine:
            assert re.search(
                rb"%s +%s[ #]" % (request.method.encode(), re.escape(request.target.encode())), sent
            )
            assert request.body in sent, (sent, request)

    def _valid(self) -> bytes:
        self._number += 1
        mark = b"mark-%d" % self._number
        lines = b"Host: h\r\nAuthorization: Bearer %s\r\n" % self._attacked.key.encode()
        body = b'{"prompt": "%s"}' % mark
        kind = self._random.randrange(3)
        if kind == 0:
            return b"GET /v1/models?%s HTTP/1.1\r\n%s\r\n" % (mark, lines)
        line = b"POST /v1/completions?%s HTTP/1.1\r\n" % mark
        if kind == 1:
            return b"%s%sContent-Length: %d\r\n\r\n%s" % (line, lines, len(body), body)
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        return line + lines + b"Transfer-Encoding: chunked\r\n\r\n" + chunks

    def _changed(self, data: bytes) -> bytes:
        text = bytearray(data)
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 3))):
            at = self._random.randrange(len(text))
            match self._random.randrange(4):
                case 0:
                    text[at:at] = self._random.choice(_SPLICES)
                case 1:
                    del text[at : at + self._random.randrange(1, 8)]
                case 2:
                    text[at] = self._random.randrange(256)
                case _:
                    start = bytes(text).rfind(b"\n", 0, at) + 1
                    text[start:start] = self._random.choice(_SPLICES)
        return bytes(text)

    async def _exchange(self, sent: bytes) -> bytes:
        received, silent = b"", 0
        proxy = self._attacked.proxy
        async with raw_client(proxy.url) as client:
            await client.send(*self._cut(sent))
            while silent < 2 or proxy.at_engine() or proxy.waiting():
                try:
                    async with asyncio.timeout(IDLE_S):
                        more = await client.reader.read(65_536)
                except TimeoutError:
                    silent += 1
                    continue
                except ConnectionError:
                    break
                if not more:
                    break
                received, silent = received + more, 0
        return received

    def _cut(self, sent: bytes) -> list[bytes]:
        cuts = sorted(self._random.randrange(len(sent)) for _ in range(self._random.randrange(3)))
        return [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]


def _id(request: Reached) -> UUID:
    return UUID(request.values("x-request-id")[0])
