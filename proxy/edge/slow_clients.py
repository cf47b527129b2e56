"""Clients that take their response more slowly than the engine makes it.

What a client has not taken yet waits in memory, charged to its user, so that the engine is not held up:
within a bound for each user and one for all. Beyond a bound the engine has to wait for the client, and
the client has to keep a least rate, else it is cut off: it holds a turn. A client that takes nothing,
or next to nothing, is cut off in any case after a while, so that memory comes back too.

One task looks at all responses under way, since a timer for each piece of each would cost more than the
writing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.edge.response import Response

TURN_GRACE_S = 5.0
"""After the memory is used up, a client that holds a turn has this long before its rate counts."""
TURN_BYTES_PER_S = 16_384
"""The least average rate of a client whose memory is used up while it holds a turn."""
LEAST_BYTES_PER_S = 512
"""The least average rate of any client that is behind, counted after the stall timeout."""
CHECK_S = 0.05
"""How often a response that waits for room looks for it."""
LOOK_EVERY_S = 1.0
"""The longest time between two looks at all responses."""


class SlowClients:
    """Bounds the memory that responses under way take, and cuts off clients that are too slow.

    `run` must be running as a task. Sizes are bytes.

    Args:
        limit_bytes: for all responses together.
        user_limit_bytes: for the responses of one user.
        stall_timeout_s: how long a client may take nothing.
        clock: gives monotonic seconds.
    """

    def __init__(
        self,
        *,
        limit_bytes: int,
        user_limit_bytes: int,
        stall_timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._limit_bytes = limit_bytes
        self._user_limit_bytes = user_limit_bytes
        self._stall_timeout_s = stall_timeout_s
        self._clock = clock
        self._watched: set[Response] = set()
        self._user_bytes: dict[int, int] = {}
        """What each user's responses hold; users who hold nothing are absent."""
        self.held_bytes = 0
        """What all responses hold, as last seen."""

    def watch(self, response: Response, user_id: int) -> None:
        """Watch a response whose client has fallen behind, until `release`; may be called again."""
        response.watched = True
        response.user_id = user_id
        self._watched.add(response)

    def release(self, response: Response) -> None:
        """Watch the response no longer, and count its memory as free; calling it again does nothing."""
        self._watched.discard(response)
        if response.held_bytes:
            self._set_held(response, 0)

    async def wait_for_room(self, response: Response, user_id: int) -> None:
        """Return when more of the response may be written. The caller holds a turn meanwhile.

        Watches the response from now on, until `release`.

        Raises:
            ConnectionError: the client has gone, or was cut off for being too slow.
        """
        self.watch(response, user_id)
        while not self._has_room(response):
            self._check_turn_rate(response)
            await asyncio.sleep(CHECK_S)  # several may wait for room, which others' clients make
            if response.unsent_bytes() is None:
                raise ConnectionResetError("the client has gone")

    async def run(self) -> None:
        """Look at all responses now and then, until cancelled."""
        while True:
            await asyncio.sleep(min(self._stall_timeout_s / 4, LOOK_EVERY_S))
            self.look()

    def look(self) -> None:
        """Count what the responses hold, and cut off the clients that are too slow."""
        now = self._clock()
        for response in list(self._watched):
            left = response.unsent_bytes() or 0
            taken = response.response_bytes - left
            self._set_held(response, left)
            if not left:  # the engine is waited for, not the client
                response.behind_since = response.turn_held_since = None
            elif response.behind_since is None:
                response.behind_since, response.taken_then = now, taken
                response.moved_at, response.moved_to = now, taken
            elif self._is_too_slow(response, taken, now):
                response.cut_off()

    def _is_too_slow(self, response: Response, taken: int, now: float) -> bool:
        if taken != response.moved_to:
            response.moved_at, response.moved_to = now, taken
        if now - response.moved_at >= self._stall_timeout_s:
            return True
        assert response.behind_since is not None
        behind_s = now - response.behind_since
        least = LEAST_BYTES_PER_S * (behind_s - self._stall_timeout_s)
        return behind_s >= self._stall_timeout_s and taken - response.taken_then < least

    def _has_room(self, response: Response) -> bool:
        if not response.request.client.writing_paused:
            response.turn_held_since = None
            return True
        self._set_held(response, response.unsent_bytes() or 0)
        of_user = self._user_bytes.get(response.user_id, 0)
        if of_user > self._user_limit_bytes:
            return False
        if self.held_bytes > self._limit_bytes:
            self._make_room(of_user)
        return self.held_bytes <= self._limit_bytes

    def _make_room(self, of_user: int) -> None:
        """Cut off the largest response of the user who holds most, if that is more than `of_user`."""
        user_id, most = max(self._user_bytes.items(), key=lambda item: item[1])
        if most > of_user:
            theirs = (response for response in self._watched if response.user_id == user_id)
            largest = max(theirs, key=lambda response: response.held_bytes)
            largest.cut_off()
            self._set_held(largest, 0)

    def _check_turn_rate(self, response: Response) -> None:
        now = self._clock()
        taken = response.response_bytes - (response.unsent_bytes() or 0)
        if response.turn_held_since is None:
            response.turn_held_since, response.taken_in_turn = now, taken
            return
        held_s = now - response.turn_held_since
        if held_s >= TURN_GRACE_S and taken - response.taken_in_turn < TURN_BYTES_PER_S * held_s:
            response.cut_off()
            raise ConnectionResetError("the client is too slow")

    def _set_held(self, response: Response, size: int) -> None:
        """Count `size` bytes for a response instead of what was counted before."""
        change = size - response.held_bytes
        if not change:
            return
        response.held_bytes = size
        self.held_bytes += change
        of_user = self._user_bytes.get(response.user_id, 0) + change
        if of_user:
            self._user_bytes[response.user_id] = of_user
        else:
            del self._user_bytes[response.user_id]
