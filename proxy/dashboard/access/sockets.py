"""The pages' sockets: what a page that is not known any more is told, and whose events are taken.

NiceGUI takes events for any page whose id stands in them. Here a socket speaks for the page alone that
it was opened by, and a user sends no more events than a person with a browser.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from inspect import isawaitable
from typing import Any

from proxy.log_format import LineLimit

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]

EVENTS_PER_S = 100.0
EVENTS_AT_ONCE = 1000
"""Of one user, through all pages and sockets."""
MAX_NOTED = 1000
"""Users. Who has sent nothing for some seconds need not be noted."""
LINES_PER_S = 5
_EVENTS = ("event", "javascript_response", "ack", "log")
"""Events of a page. `handshake` is checked by NiceGUI against the id in the socket's own address."""
_LEVELS = ("debug", "info", "warning", "error")
_MAX_LOG_CHARS = 500
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


class SocketEvents:
    """Stands before NiceGUI's handlers of events.

    `user_of` tells whose page it is, None if it is not open. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        sio: Any,
        user_of: Callable[[str], int | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sio = sio
        self._user_of = user_of
        self._clock = clock
        self._lines = LineLimit(LINES_PER_S, clock=clock)
        self._taken: OrderedDict[int, tuple[float, float]] = OrderedDict()
        """By user: how many events are open to them, and when that was."""

    def bind(self) -> None:
        """Take the place of NiceGUI's handlers."""
        handlers = self._sio.handlers["/"]
        for name in _EVENTS:
            self._sio.on(name, partial(self._take, name, handlers[name]))

    async def _take(
        self, name: str, handle: Callable[[str, Message], object], sid: str, message: object
    ) -> None:
        if not isinstance(message, dict) or message.get("client_id") not in self._sio.rooms(sid):
            return
        if not self._may_come(str(message["client_id"])) or (
            name == "log" and not self._may_log(message)
        ):
            return
        try:
            outcome = handle(sid, message)
            if isawaitable(outcome):
                await outcome
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # No page of ours sends such a message. What a handler of a page raises is logged before.
            if self._lines.take() is not None:
                logger.warning("a page sent a malformed event: %r", error)

    def _may_come(self, page_id: str) -> bool:
        user, now = self._user_of(page_id), self._clock()
        if user is None:
            return False
        left, at = self._taken.get(user, (float(EVENTS_AT_ONCE), now))
        left = min(EVENTS_AT_ONCE, left + (now - at) * EVENTS_PER_S)
        self._taken[user] = (max(0.0, left - 1), now)
        self._taken.move_to_end(user)
        if len(self._taken) > MAX_NOTED:
            self._taken.popitem(last=False)
        return left >= 1

    def _may_log(self, message: Message) -> bool:
        message["message"] = str(message.get("message"))[:_MAX_LOG_CHARS]
        return message.get("level") in _LEVELS and self._lines.take() is not None
