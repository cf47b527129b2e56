"""The pages' sockets: what a page that is not known any more is told, and whose events are taken.

NiceGUI takes events for any page whose id stands in them. Here a socket speaks for the page alone that
it was opened by.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from inspect import isawaitable
from typing import Any

Message = MutableMapping[str, Any]

_EVENTS = ("event", "javascript_response", "ack", "log")
"""Events of a page. `handshake` is checked by NiceGUI against the id in the socket's own address."""
_OPEN = '0{"sid":"-","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
_REFUSED = '44{"message":"Implicit handshake failed"}'


async def refuse_handshake(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Tell a page without a session to load itself anew, which leads to the login.

    Speaks as much of Engine.IO 4 and Socket.IO 5 as that takes
    (https://socket.io/docs/v4/socket-io-protocol/).
    """
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": _OPEN})
    await send({"type": "websocket.send", "text": _REFUSED})
    await send({"type": "websocket.close", "code": 1000})


def bind_events(sio: Any) -> None:
    """Take a page's events only from sockets that have shaken hands for this page."""
    for name in _EVENTS:
        sio.on(name, partial(_only_own, sio, sio.handlers["/"][name]))


async def _only_own(
    sio: Any, handle: Callable[[str, Message], object], sid: str, message: Message
) -> None:
    if not isinstance(message, dict) or message.get("client_id") not in sio.rooms(sid):
        return
    outcome = handle(sid, message)
    if isawaitable(outcome):
        await outcome
