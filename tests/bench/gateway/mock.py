"""An engine that answers at once, as a process of its own: what is measured stands in front of it.

    python -m tests.bench.gateway.mock      prints its port on 127.0.0.1, serves until SIGTERM

Each POST gets a canned chat completion of about 300 bytes; with `"stream": true` CHUNKS events and
`[DONE]`, each an HTTP chunk of its own, all at once. What else is wanted stands in the text of the
prompt, which every gateway passes on: `pace(MS)` and `size(BYTES)` make it. A GET gets a list with one
model, whatever the path: health, models, what a router asks its worker.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from typing import cast

import httptools
import uvloop

MODEL = "bench-chat"
CHUNKS = 20
"""Events of a stream, before `[DONE]`."""
EDGE_BYTES = 512
"""Bytes at the beginning and at the end of a long body that are searched."""
_WISH = re.compile(rb"mock:(pace|size)=([0-9]+);")
_STREAM = re.compile(rb'"stream": ?true')


def pace(milliseconds: int) -> str:
    """In a prompt: the events of the stream are to come so far apart, the first one at once."""
    return f"mock:pace={milliseconds};"


def size(count: int) -> str:
    """In a prompt: the answer's text is to have so many bytes."""
    return f"mock:size={count};"


def _http(status: bytes, kind: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        kind,
        len(body),
        body,
    )


def _completion(text: str) -> bytes:
    answer = {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21},
    }
    return _http(b"200 OK", b"application/json", json.dumps(answer).encode())


def _event(number: int) -> bytes:
    chunk = {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "delta": {"content": f" word{number}"},
                "finish_reason": "stop" if number == CHUNKS else None,
            }
        ],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


CHAT = _completion("Hello! How can I help you today? I am only a canned answer.")
MODELS = _http(
    b"200 OK",
    b"application/json",
    json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode(),
)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n"
)
"""The third header tells nginx to pass each chunk on as it comes."""
STREAM = [_chunk(_event(number)) for number in range(1, CHUNKS + 1)]
STREAM_END = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
BURST = STREAM_HEAD + b"".join(STREAM) + STREAM_END


class Connection(asyncio.Protocol):
    """One connection of a gateway, which sends a request when the answer to the last one has come."""

    def __init__(self, large: dict[int, bytes]) -> None:
        self._large = large
        """Answers of sizes that have been asked for."""
        self._body = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._transport.write(_http(b"400 Bad Request", b"text/plain", repr(error).encode()))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def on_body(self, data: bytes) -> None:
        """httptools calls it, and the next."""
        self._body += data

    def on_message_complete(self) -> None:
        body, self._body = self._body, bytearray()
        self._answer(body)
        if not self._parser.should_keep_alive() and self._timer is None:
            self._transport.close()

    def _answer(self, body: bytes | bytearray) -> None:
        if self._parser.get_method() == b"GET":
            self._transport.write(MODELS)
            return
        if len(body) > 2 * EDGE_BYTES:
            body = body[:EDGE_BYTES] + body[-EDGE_BYTES:]
        wish = _WISH.search(body)
        if wish is not None and wish[1] == b"size":
            self._transport.write(self._of_size(int(wish[2])))
        elif not _STREAM.search(body):
            self._transport.write(CHAT)
        elif wish is None:
            self._transport.write(BURST)
        else:
            self._transport.write(STREAM_HEAD)
            self._send_paced(0, int(wish[2]) / 1000, asyncio.get_running_loop().time())

    def _of_size(self, count: int) -> bytes:
        if count not in self._large:
            self._large[count] = _completion("x" * count)
        return self._large[count]

    def _send_paced(self, number: int, pause_s: float, began: float) -> None:
        self._transport.write(STREAM[number])
        number += 1
        if number == CHUNKS:
            self._timer = None
            self._transport.write(STREAM_END)
            return
        # By the clock and not by the event before: a late one makes no other late.
        due = began + number * pause_s
        self._timer = asyncio.get_running_loop().call_at(due, self._send_paced, number, pause_s, began)


async def serve() -> None:
    """Serve until SIGTERM."""
    loop, large = asyncio.get_running_loop(), dict[int, bytes]()
    server = await loop.create_server(lambda: Connection(large), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    await end.wait()


if __name__ == "__main__":
    uvloop.run(serve())
    sys.exit(0)
