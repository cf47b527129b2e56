"""The proxy's live state, asked of its admin API once for all pages, and what a user may see of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from proxy.dashboard.access.sessions import Session
from proxy.dashboard.data import errors

FRESH_S = 0.9
"""A state is shown again for so long."""
TIMEOUT_S = 5.0
LIVE_PATH = "/admin/v1/live"
_OTHERS_MAY_SEE = ("state", "age_s", "place", "estimated_wait_s", "stream")

State = dict[str, Any]


class LiveState:
    """Asks the proxy with the administrator's key of the configuration."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        proxy_url: str,
        admin_key: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._url = proxy_url + LIVE_PATH
        self._key = admin_key
        self._clock = clock
        self._state: State = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[State] | None = None

    async def state(self, session: Session) -> State:
        """What the session's user may see: everything, or of others only that there is someone.

        Raises:
            Unavailable: the proxy does not answer, or there is no administrator's key.
        """
        if self._clock() - self._read_at > FRESH_S:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            # Other pages wait for the same answer: none of them may end the question.
            await asyncio.shield(self._reading)
        return self._state if session.is_admin else seen_by(session.username, self._state)

    async def end_request(self, request_id: str, key: str) -> None:
        """End a request under way, with the key of an administrator, whom the audit names.

        Raises:
            DashboardError: it is not under way, the key is not an administrator's, or the proxy is away.
        """
        try:
            async with self._http.delete(
                f"{self._url}/{request_id}",
                headers={"Authorization": f"Bearer {key}"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as response:
                if response.status == 404:
                    raise errors.request_not_running()
                if response.status in (401, 403):
                    raise errors.admins_only()
                response.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise errors.proxy_unavailable() from error

    async def _read(self) -> State:
        if not self._key:
            raise errors.live_needs_admin_key()
        try:
            async with self._http.get(
                self._url,
                headers={"Authorization": f"Bearer {self._key}"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as response:
                if response.status in (401, 403):
                    raise errors.live_needs_admin_key()
                response.raise_for_status()
                self._state = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise errors.proxy_unavailable() from error
        self._read_at = self._clock()
        return self._state


def seen_by(username: str, state: State) -> State:
    """The state with everything about other users' requests left out but that they run or wait."""
    return {
        **state,
        "running": [_seen_by(username, one) for one in state["running"]],
        "waiting": [_seen_by(username, one) for one in state["waiting"]],
    }


def _seen_by(username: str, request: State) -> State:
    if request["user"] == username:
        return request
    return {"user": "someone", **{name: request.get(name) for name in _OTHERS_MAY_SEE}}
