"""Events of pages: whose they are, and how many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.dashboard.access import sockets
from proxy.dashboard.access.sockets import SocketEvents


class Sio:
    """What `SocketEvents` needs of python-socketio. Each socket is of the page of its own name."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.handlers: dict[str, dict[str, Callable[..., Any]]] = {
            "/": dict.fromkeys(("event", "javascript_response", "ack", "log"), self._take)
        }

    def _take(self, _sid: str, message: dict[str, str]) -> None:
        self.taken.append(message["client_id"])

    def on(self, name: str, handler: Callable[..., Any]) -> None:
        self.handlers["/"][name] = handler

    def rooms(self, sid: str) -> list[str]:
        return [sid, sid[:1]]

    async def send(self, sid: str, page: str, number: int) -> int:
        """Send so many events of a page; how many are taken."""
        before = len(self.taken)
        for _ in range(number):
            await self.handlers["/"]["event"](sid, {"client_id": page})
        return len(self.taken) - before


async def test_events_are_bounded_for_each_user() -> None:
    """Whatever number of pages and sockets they come through; others are not concerned, and time makes
    room. Events of pages that are not open, or another socket's, are not taken."""
    now, sio = [0.0], Sio()
    SocketEvents(sio, {"a": 1, "b": 1, "c": 2}.get, clock=lambda: now[0]).bind()
    assert await sio.send("a-1", "b", 1) == 0
    assert await sio.send("d-1", "d", 1) == 0
    most = sockets.EVENTS_AT_ONCE
    assert await sio.send("a-1", "a", most - 10) == most - 10
    assert await sio.send("a-2", "a", 5) + await sio.send("b-1", "b", 9) == 10
    assert await sio.send("c-1", "c", 7) == 7
    now[0] += 1
    assert await sio.send("b-1", "b", most) == sockets.EVENTS_PER_S
