"""Holds the engine's port while no model is loaded: `python -m runtime.engine.asleep`, which only
`idle.become` calls.

Answers GET /health, and GET /metrics with a 503. Anything else makes it the engine again; the request is
not read, so that the engine finds it whole. It imports nothing of the engine: 15 MB instead of a model.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from contextlib import suppress
from typing import Never

from runtime.engine import idle

MOST_CONNECTIONS = 64
"""Connections that have not sent anything. Further ones wait in the kernel."""
PATIENCE_S = 5.0
"""After that a connection that has sent nothing is closed."""
TICK_S = 1.0
_HEAD_BYTES = 16_384
_OWN = (b"GET /health ", b"GET /health?", b"GET /metrics ", b"GET /metrics?")


class StandIn:
    """Owns the listening socket and the connections that have not said yet what they want."""

    def __init__(self, handover: idle.Handover) -> None:
        self._handover = handover
        self._listener = idle.socket_of(handover.listener)
        self._selector = selectors.DefaultSelector()
        self._waiting: dict[socket.socket, float] = {}
        """When each connection is closed, if it sends nothing."""
        body = {
            "slots": handover.slots,
            "embedding_slots": handover.embedding_slots or 0,
            "model": handover.model,
        }
        self._health = json.dumps({"status": "asleep", "running": 0, "waiting": 0, **body}).encode()
        for descriptor in handover.connections:
            self._add(idle.socket_of(descriptor))

    def wait_for_a_request(self) -> idle.Handover:
        """Serve until something other than /health and /metrics is asked for."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select(TICK_S):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and self._is_for_the_engine(key.fileobj):
                    return self._everything()
            self._close_silent()

    def _everything(self) -> idle.Handover:
        connections = tuple(one.fileno() for one in self._waiting)
        given = vars(self._handover) | {"connections": connections}
        return idle.Handover(**given)

    def _accept(self) -> None:
        if len(self._waiting) >= MOST_CONNECTIONS:
            time.sleep(TICK_S / 20)  # one of them will be closed, or ask
            return
        with suppress(OSError):
            self._add(self._listener.accept()[0])

    def _add(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._waiting[connection] = time.monotonic() + PATIENCE_S
        self._selector.register(connection, selectors.EVENT_READ)

    def _close(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._waiting[connection]
        connection.close()

    def _close_silent(self) -> None:
        now = time.monotonic()
        for connection in [one for one, until in self._waiting.items() if until <= now]:
            self._close(connection)

    def _is_for_the_engine(self, connection: socket.socket) -> bool:
        """Look at a request's beginning without taking it; answer what is for us."""
        try:
            begun = connection.recv(_HEAD_BYTES, socket.MSG_PEEK)
        except OSError:
            begun = b""
        if not begun:
            self._close(connection)
            return False
        if begun.startswith(_OWN):
            self._answer(connection, begun)
            return False
        if any(own.startswith(begun) for own in _OWN):
            time.sleep(TICK_S / 100)  # the rest is on its way
            return False
        return True

    def _answer(self, connection: socket.socket, head: bytes) -> None:
        status, body = b"200 OK", self._health
        if not head.startswith(b"GET /health"):
            status, body = (
                b"503 Service Unavailable",
                b'{"error": {"message": "The model is unloaded."}}',
            )
        response = (
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (status, len(body), body)
        )
        with suppress(OSError):
            connection.recv(_HEAD_BYTES)  # what is not read would reset the connection
            connection.send(response)
        self._close(connection)


def main() -> Never:
    """Hold the port, then become the engine. Exit status 2 if nothing was handed over."""
    handover = idle.taken_over(os.environ)
    if handover is None:
        print("only the engine becomes this program", file=sys.stderr)
        sys.exit(2)
    idle.become(idle.ENGINE, StandIn(handover).wait_for_a_request())


if __name__ == "__main__":
    idle.heed_stops(lambda *_: os._exit(0))
    main()
