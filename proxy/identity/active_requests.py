"""The requests under way, so that they can be ended: one user's when access is lost, or all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from proxy.errors import ApiError
from proxy.identity.keys import PREFIX
from proxy.identity.principal import Principal, access_error

WATCH_AGAIN_S = 60.0
"""The longest time until the key is checked again, since the wall clock may be set."""


class ActiveRequest:
    """One request under way. `error` is set before its task is cancelled because access was lost."""

    __slots__ = ("error", "public_id", "task", "timer")

    def __init__(self, task: asyncio.Task[object], public_id: str) -> None:
        self.task = task
        self.public_id = public_id
        self.error: ApiError | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Checks the key again when it expires."""

    def end(self, error: ApiError) -> None:
        """Cancel the request; its handler answers with `error`."""
        if self.error is None:
            self.error = error
            self.task.cancel()


class ActiveRequests:
    """All requests under way in this process, by key."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._requests: dict[str, set[ActiveRequest]] = {}

    def __len__(self) -> int:
        return sum(len(requests) for requests in self._requests.values())

    def uses(self, public_id: str) -> bool:
        """Whether requests with this key are under way."""
        return public_id in self._requests

    def enter(self, task: asyncio.Task[object], principal: Principal) -> ActiveRequest:
        """Register a request that a task serves. The caller must pass the result to `leave`."""
        public_id = principal.public_id
        request = ActiveRequest(task, public_id)
        requests = self._requests.get(public_id)
        if requests is None:
            self._requests[public_id] = {request}
        else:
            requests.add(request)
        if principal.expires_at is not None:
            self._watch(request, principal)
        return request

    def leave(self, request: ActiveRequest) -> None:
        """Forget a request that has ended."""
        if request.timer is not None:
            request.timer.cancel()
        requests = self._requests[request.public_id]
        requests.discard(request)
        if not requests:
            del self._requests[request.public_id]

    def end_refused(self, principals: Iterable[Principal]) -> None:
        """End the requests whose keys may no longer be used; watch those whose keys got an expiry."""
        for principal in principals:
            for request in list(self._requests.get(principal.public_id, ())):
                self._watch(request, principal)

    def end_all(self, error: ApiError) -> None:
        """End all requests that run or wait."""
        for requests in list(self._requests.values()):
            for request in requests:
                request.end(error)

    def _watch(self, request: ActiveRequest, principal: Principal) -> None:
        """End a request whose key may no longer be used, or look again when the key expires."""
        if request.timer is not None:
            request.timer.cancel()
            request.timer = None
        masked = f"{PREFIX}{principal.public_id[:4]}…"
        now = self._clock()
        error = access_error(principal, now=now, masked=masked)
        if error is not None:
            request.end(error)
        elif principal.expires_at is not None:
            # uvloop's timers fire up to a millisecond early: check the key again then.
            delay = min(max(0.001, principal.expires_at - now), WATCH_AGAIN_S)
            loop = asyncio.get_running_loop()
            request.timer = loop.call_later(delay, self._watch, request, principal)
