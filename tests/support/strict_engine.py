"""A fake engine that parses HTTP strictly, keeps every byte, and sends given bytes as responses.

For what reaches the engine, and for what an engine may answer: both at the level of bytes, which a
library's server would hide.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

BODY = b'{"choices": []}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
_LINE = re.compile(r"(GET|POST) (/[!-~]*) HTTP/1\.1")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([^\x00-\x08\x0a-\x1f\x7f]*)")


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A request as it reached the engine."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class StrictEngine:
    """Answers every request with `answer`; closes the connection after it when `closes`."""

    url: str = ""
    answer: bytes = ANSWER
    closes: bool = False
    reached: list[Reached] = field(default_factory=list)
    malformed: list[bytes] = field(default_factory=list)
    """The bytes that were not a request in the strictest form."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError as error:
                    self.malformed += [error.partial] if error.partial else []
                    return
                request = await self._request(head, reader)
                if request is None:
                    self.malformed.append(head)
                    return
                if request.target == "/health":
                    writer.write(ANSWER)
                    continue
                self.reached.append(request)
                writer.write(self.answer)
                if self.closes:
                    return
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _request(self, head: bytes, reader: asyncio.StreamReader) -> Reached | None:
        line, *lines = head.decode("utf-8", "replace").removesuffix("\r\n\r\n").split("\r\n")
        start = _LINE.fullmatch(line)
        found = [_FIELD.fullmatch(text) for text in lines]
        if start is None or None in found:
            return None
        headers = [(match[1], match[2]) for match in found if match is not None]
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        if len(lengths) > 1 or any(name.lower() == "transfer-encoding" for name, _ in headers):
            return None
        body = await reader.readexactly(int(lengths[0])) if lengths else b""
        return Reached(method=start[1], target=start[2], headers=headers, body=body, raw=head + body)


@asynccontextmanager
async def strict_engine() -> AsyncIterator[StrictEngine]:
    """Run such an engine on a free port for as long as the context lasts."""
    engine = StrictEngine()
    server = await asyncio.start_server(engine.serve, "127.0.0.1", 0, limit=2**20)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        server.close()
