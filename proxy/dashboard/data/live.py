"""The live state, asked of proxy and engine once for all pages, and what a user may see of it.

The proxy's admin API says which requests run and wait, and what is left of a user's limits; the engine
how far it is with each request. Such questions are not recorded as requests.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from proxy.dashboard.access.sessions import Session
from proxy.dashboard.data import errors
from proxy.dashboard.settings import DashboardSettings

FRESH_S = 0.9
"""A state is shown again for so long."""
TIMEOUT_S = 5.0
ENGINE_TIMEOUT_S = 1.0
LIVE_PATH = "/admin/v1/live"
LIMITS_PATH = "/admin/v1/users/{}/limits"
PROGRESS_PATH = "/internal/progress"
MODELS_PATH = "/v1/models"
MODELS_FRESH_S = 15.0
RATE_S = 5.0
"""Tokens a second are a mean over so long."""
_ALL_MAY_SEE = ("engine", "queues", "models", "tokens_per_s")
_OTHERS_MAY_SEE = ("state", "age_s", "place", "estimated_wait_s", "stream")

State = dict[str, Any]


class LiveState:
    """Asks the proxy with the administrator's key of the configuration."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        settings: DashboardSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._proxy_url = settings.proxy_url
        self._key = settings.admin_key
        self._engines = settings.engines
        self._clock = clock
        self._rate = TokenRate()
        self._models: list[str] = []
        self._models_read_at = float("-inf")
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

    async def limits(self, session: Session) -> dict[str, Any]:
        """What is used of the limits of the session's user, and when they reset, as of `GET /v1/usage`.

        Raises:
            Unavailable: the proxy does not answer, or there is no administrator's key.
        """
        return await self._ask_proxy(LIMITS_PATH.format(quote(session.username, safe="")))

    async def end_request(self, request_id: str, key: str) -> None:
        """End a request under way, with the key of an administrator, whom the audit names.

        Raises:
            DashboardError: it is not under way, the key is not an administrator's, or the proxy is away.
        """
        try:
            async with self._http.delete(
                URL(f"{self._proxy_url}{LIVE_PATH}/{quote(request_id, safe='')}", encoded=True),
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
        state = await self._ask_proxy(LIVE_PATH)
        # A question keeps an idle engine from unloading its model (LLAMA_SERVER_IDLE_SECONDS).
        progress = await self._read_progress() if state["running"] else {}
        for request in state["running"]:
            request["progress"] = progress.get(request["id"].removeprefix("req_"))
        now = self._clock()
        state["models"] = await self._read_models(state, now)
        state["tokens_per_s"] = self._rate.note(now, progress)
        # Together: what is fresh is shown without asking.
        self._state, self._read_at = state, self._clock()
        return state

    async def _ask_proxy(self, path: str) -> dict[str, Any]:
        if not self._key:
            raise errors.live_needs_admin_key()
        try:
            async with self._http.get(
                URL(self._proxy_url + path, encoded=True),
                headers={"Authorization": f"Bearer {self._key}"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as response:
                if response.status in (401, 403):
                    raise errors.live_needs_admin_key()
                response.raise_for_status()
                found: dict[str, Any] = await response.json()
                return found
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise errors.proxy_unavailable() from error

    async def _read_progress(self) -> dict[str, dict[str, int]]:
        """Nothing of an engine that does not say: it is away, loads a model or is not ours."""
        progress: dict[str, dict[str, int]] = {}
        for found in await self._ask_engines(PROGRESS_PATH):
            progress |= found
        return progress

    async def _read_models(self, state: State, now: float) -> list[str]:
        """The names of the models that are served; the last known ones while the engine is away. While
        nothing runs, the proxy's knowledge does, if it has a name for each engine."""
        told = {engine["model"] for engine in state.get("backends", [])}
        if not state["running"] and told and None not in told:
            return self._models if told <= set(self._models) else sorted(told)
        if now - self._models_read_at > MODELS_FRESH_S:
            self._models_read_at = now
            found = await self._ask_engines(MODELS_PATH)
            lists = [one["data"] for one in found if isinstance(one.get("data"), list)]
            if lists:
                self._models = sorted({str(model.get("id")) for models in lists for model in models})
        return self._models

    async def _ask_engines(self, path: str) -> list[dict[str, Any]]:
        """The JSON objects of those engines that answer."""
        asked = (self._ask_engine(url + path, key) for url, key in self._engines)
        return [found for found in await asyncio.gather(*asked) if isinstance(found, dict)]

    async def _ask_engine(self, url: str, key: str) -> object:
        try:
            async with self._http.get(
                url,
                headers={"Authorization": f"Bearer {key}"},
                timeout=aiohttp.ClientTimeout(total=ENGINE_TIMEOUT_S),
            ) as response:
                response.raise_for_status()
                return await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


class TokenRate:
    """Tokens generated a second, from how far requests were at several times."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._steps: deque[tuple[float, int]] = deque()
        """When it was noted, and how many tokens had come since the time before."""

    def note(self, now: float, progress: dict[str, dict[str, int]]) -> float | None:
        """Take in how far requests are; the rate, or None while there is nothing to compare with."""
        tokens = {name: one.get("completion_tokens", 0) for name, one in progress.items()}
        came = sum(max(0, count - self._seen.get(name, 0)) for name, count in tokens.items())
        self._seen = tokens
        self._steps.append((now, came))
        while len(self._steps) > 2 and now - self._steps[0][0] > RATE_S:
            self._steps.popleft()
        since = self._steps[0][0]
        if now <= since:
            return None
        return round(sum(count for _, count in list(self._steps)[1:]) / (now - since), 1)


def seen_by(username: str, state: State) -> State:
    """The state without the engines, and of other users' requests only that they run or wait."""
    return {
        **{name: state[name] for name in _ALL_MAY_SEE if name in state},
        "running": [_seen_by(username, one) for one in state["running"]],
        "waiting": [_seen_by(username, one) for one in state["waiting"]],
    }


def _seen_by(username: str, request: State) -> State:
    if request["user"] == username:
        return {name: value for name, value in request.items() if name != "backend"}
    return {"user": "someone", **{name: request.get(name) for name in _OTHERS_MAY_SEE}}
