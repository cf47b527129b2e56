"""A client with a stopwatch: plain blocking sockets, which take less of the machine than the servers.

Owns the requests and their times. What is asked is for the measurements to say.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from itertools import pairwise
from typing import Any

CHAT = "/v1/chat/completions"
TIMEOUT_S = 300.0
Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """A streamed answer: its text, and seconds from the sending of the request."""

    text: str
    first_s: float
    """Until the first text came."""
    last_s: float
    """Until the last text came."""
    longest_gap_s: float
    """Between two texts."""
    finish_reason: str


@dataclass(frozen=True, kw_only=True)
class Whole:
    """An answer that was not streamed."""

    text: str
    total_s: float
    prompt_tokens: int
    completion_tokens: int


class Client:
    """Talks to one server, each time on a connection of its own.

    Args:
        port: on 127.0.0.1.
        headers: sent with each request; the key is in them.
    """

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._port = port
        self._headers = dict(headers)

    def stream(
        self, body: Body, *, user: str = "", on_text: Callable[[], object] = lambda: None
    ) -> Streamed:
        """Ask for a stream and read it to its end.

        Args:
            body: what is asked.
            user: on whose behalf, for our own server.
            on_text: called with each text.

        Raises:
            AssertionError: the server refused, or the stream did not end in order.
        """
        parts, times, reasons = [], [], []
        began = time.perf_counter()
        with closing(self._connection()) as connection:
            for choice in self._choices(self._sent(connection, {**body, "stream": True}, user)):
                if text := choice["delta"].get("content"):
                    on_text()
                    parts.append(text)
                    times.append(time.perf_counter() - began)
                reasons.append(choice["finish_reason"])
        assert times, "a stream without text"
        assert reasons[-1] is not None, "a stream that broke off"
        return Streamed(
            text="".join(parts),
            first_s=times[0],
            last_s=times[-1],
            longest_gap_s=max((after - before for before, after in pairwise(times)), default=0.0),
            finish_reason=reasons[-1],
        )

    def whole(self, body: Body) -> Whole:
        """Ask for an answer in one.

        Raises:
            AssertionError: the server refused.
        """
        began = time.perf_counter()
        with closing(self._connection()) as connection:
            answer = json.load(self._sent(connection, body))
        usage = answer["usage"]
        return Whole(
            text=answer["choices"][0]["message"]["content"],
            total_s=time.perf_counter() - began,
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"],
        )

    def leave_stream(self, body: Body, *, pieces: int) -> None:
        """Ask for a stream and close the connection after so many pieces of text."""
        with closing(self._connection()) as connection:
            response = self._sent(connection, {**body, "stream": True})
            texts = (choice for choice in self._choices(response) if choice["delta"].get("content"))
            for _ in range(pieces):
                next(texts)
            response.close()

    def leave(self, body: Body, *, after_s: float) -> None:
        """Ask, and close the connection after so many seconds, whatever has come."""
        with closing(self._connection()) as connection:
            self._send(connection, body)
            time.sleep(after_s)

    def metric(self, name: str) -> float:
        """One of our server's metrics."""
        with closing(self._connection()) as connection:
            connection.request("GET", "/metrics", headers=self._headers)
            lines = connection.getresponse().read().decode().splitlines()
        (value,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
        return float(value)

    def _connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)

    def _send(self, connection: HTTPConnection, body: Body, user: str = "") -> None:
        headers = {**self._headers, "Content-Type": "application/json", "X-Llamaserve-User": user}
        connection.request("POST", CHAT, json.dumps(body), headers)

    def _sent(self, connection: HTTPConnection, body: Body, user: str = "") -> HTTPResponse:
        self._send(connection, body, user)
        response = connection.getresponse()
        assert response.status == 200, response.read().decode(errors="replace")
        return response

    @staticmethod
    def _choices(response: HTTPResponse) -> Iterator[dict[str, Any]]:
        for line in response:
            if line.startswith(b"data: {"):
                yield from json.loads(line.removeprefix(b"data: "))["choices"]
