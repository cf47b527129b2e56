"""A load loop on asyncio, as a process of its own, and the client that looks at the pieces of streams.

Each connection sends a request as soon as the answer to the last one is whole. A `Job` is read from
standard input as JSON. It prints a line `begun` when every connection has had the first byte of an
answer, and at the end `Outcome` as JSON. In front of a fast gateway it measures itself more than the
gateway: wrk takes a tenth of the processor.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, pairwise
from statistics import median
from typing import cast

import httptools
import uvloop

BROKEN = "broken"
"""Used instead of a status when the connection ended before the response."""
RETRY_S = 0.01
PATIENCE_S = 120.0
"""Seconds to wait for the last responses."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The requests to send, and for how long.

    Args:
        port: on 127.0.0.1.
        headers: beside Host, Content-Type and Content-Length.
        keys: of these each request has the next one as its bearer key.
        seconds: for so long requests are begun; all that are begun are waited for.
        requests: or so many in all, if that is not 0.
    """

    port: int
    headers: dict[str, str]
    keys: list[str]
    body: str
    connections: int
    seconds: float
    requests: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result. Times are medians in milliseconds, from the sending of a request.

    Args:
        statuses: how many answers had which; BROKEN for those that did not come whole.
        gap_ms: between two pieces of a body; None where no answer came in pieces.
    """

    seconds: float
    statuses: dict[str, int]
    total_ms: float
    first_ms: float
    gap_ms: float | None


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits = False
        self._pieces: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none
        self._parser = httptools.HttpResponseParser(self)
        self._send()

    def _send(self) -> None:
        request = self._load.next_request()
        if request is None:
            self._transport.close()
            return
        self._pieces, self._waits = [], True
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._now = time.perf_counter()
        self._parser.feed_data(data)

    def on_body(self, _: bytes) -> None:
        """httptools calls it for each piece, and the next."""
        if not self._pieces:
            self._load.begins(self)
        self._pieces.append(self._now)

    def on_message_complete(self) -> None:
        self._waits = False
        self._load.ends(self._parser.get_status_code(), self._sent, self._now, self._pieces)
        if self._parser.should_keep_alive():
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waits:
            self._load.breaks()
        if not self.closed.done():
            self.closed.set_result(None)

    def abort(self) -> None:
        """Wait no longer."""
        self._transport.abort()


class Load:
    """All connections of a job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._requests: Iterator[bytes] = cycle(_requests(job))
        self._left = job.requests or sys.maxsize
        self._end = 0.0
        self._begun: set[Connection] | None = set()
        self._statuses: Counter[str] = Counter()
        self._totals: list[float] = []
        self._firsts: list[float] = []
        self._gaps: list[float] = []

    async def run(self) -> Outcome:
        """Send all, wait for all answers."""
        began = time.perf_counter()
        self._end = began + self._job.seconds
        await asyncio.gather(*(self._keep_connected() for _ in range(self._job.connections)))
        return Outcome(
            seconds=time.perf_counter() - began,
            statuses=dict(self._statuses),
            total_ms=_median_ms(self._totals) or 0.0,
            first_ms=_median_ms(self._firsts) or 0.0,
            gap_ms=_median_ms(self._gaps),
        )

    async def _keep_connected(self) -> None:
        """One connection after the other: a server may close one after an answer."""
        loop = asyncio.get_running_loop()
        while self._may_send():
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(self), "127.0.0.1", self._job.port
                )
            except OSError:
                self.breaks()
                await asyncio.sleep(RETRY_S)
                continue
            try:
                async with asyncio.timeout(self._job.seconds + PATIENCE_S):
                    await connection.closed
            except TimeoutError:
                connection.abort()
                return

    def _may_send(self) -> bool:
        return self._left > 0 and (bool(self._job.requests) or time.perf_counter() < self._end)

    def next_request(self) -> bytes | None:
        """None when it is over."""
        if not self._may_send():
            return None
        self._left -= 1
        return next(self._requests)

    def begins(self, connection: Connection) -> None:
        """The first byte of an answer is there."""
        if self._begun is not None:
            self._begun.add(connection)
            if len(self._begun) == self._job.connections:
                self._begun = None
                print("begun", flush=True)

    def ends(self, status: int, sent: float, now: float, pieces: list[float]) -> None:
        """An answer is whole."""
        self._statuses[str(status)] += 1
        self._totals.append(now - sent)
        self._firsts.append((pieces[0] if pieces else now) - sent)
        self._gaps += [later - one for one, later in pairwise(pieces)]

    def breaks(self) -> None:
        """An answer will not become whole."""
        self._statuses[BROKEN] += 1


def _requests(job: Job) -> list[bytes]:
    body = job.body.encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: 127.0.0.1:{job.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in job.headers.items()),
    ]
    heads = [[*lines, f"Authorization: Bearer {key}"] for key in job.keys] or [lines]
    return ["\r\n".join([*head, "", ""]).encode() + body for head in heads]


def _median_ms(seconds: list[float]) -> float | None:
    return median(seconds) * 1000 if seconds else None


def main() -> int:
    """Do the job."""
    job = Job(**json.load(sys.stdin))
    outcome = uvloop.run(Load(job).run())
    print(json.dumps(asdict(outcome)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
