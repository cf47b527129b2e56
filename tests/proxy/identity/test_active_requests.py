"""The requests under way, and their end when a key expires."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.identity.active_requests import ActiveRequest, ActiveRequests
from proxy.identity.principal import Principal


def alice(expires_at: float) -> Principal:
    return Principal(
        public_id="p",
        key_id=1,
        user_id=1,
        username="alice",
        is_active=True,
        revoked=False,
        expires_at=expires_at,
        rate_limit=None,
        rate_window_s=None,
    )


def entered(
    running: ActiveRequests, principal: Principal, requests: list[ActiveRequest]
) -> asyncio.Task[str]:
    """A request under way; its task ends with the reason, once it is ended."""

    async def request() -> str:
        task = asyncio.current_task()
        assert task is not None
        request = running.enter(task, principal)
        requests.append(request)
        try:
            await asyncio.sleep(0.3)
        except asyncio.CancelledError:
            assert request.error is not None
            return request.error.error
        finally:
            running.leave(request)
        return "done"

    return asyncio.create_task(request())


def clock(*times: float) -> Callable[[], float]:
    """A wall clock that says these times in turn, and stays at the last."""
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


async def test_a_timer_that_goes_off_early_does_not_forget_the_request() -> None:
    """uvloop's do, by up to a millisecond: the request ends when the key has expired."""
    running = ActiveRequests(clock(100.0, 100.0095, 100.011))
    assert await entered(running, alice(100.01), []) == "key_expired"


async def test_a_key_s_later_expiry_holds_for_what_runs_already() -> None:
    """The earlier moment passes without an end."""
    running, requests = ActiveRequests(clock(100.0, 100.0, 100.2)), list[ActiveRequest]()
    task = entered(running, alice(100.05), requests)
    await asyncio.sleep(0)
    running.end_refused([alice(500.0)])
    assert await task == "done"


async def test_a_request_that_ended_leaves_no_timer() -> None:
    """However often its key was changed meanwhile."""
    running, requests = ActiveRequests(clock(100.0)), list[ActiveRequest]()
    task = entered(running, alice(500.0), requests)
    await asyncio.sleep(0)
    first = requests[0].timer
    running.end_refused([alice(600.0)])
    assert await task == "done"
    for timer in (first, requests[0].timer):
        assert timer is not None
        assert timer.cancelled()
    assert len(running) == 0
