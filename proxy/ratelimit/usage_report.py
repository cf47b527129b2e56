"""What a user is told of their limits: the body of `GET /v1/usage`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import orjson

from proxy.ratelimit.admission import Admission, EffectiveLimits
from proxy.ratelimit.sliding_window import Decision


def usage_report(username: str, state: Admission, limits: EffectiveLimits) -> bytes:
    """The report as JSON. A window that is not limited is left out."""
    windows = [_window("requests", state.requests, limits)]
    if state.tokens is not None:
        windows.append(_window("tokens", state.tokens, limits))
    return orjson.dumps({"object": "usage", "user": username, "windows": windows})


def _window(kind: str, state: Decision, limits: EffectiveLimits) -> dict[str, Any]:
    """`resets_at`: when the whole limit is free again; `next_at`: when one more is, if none is now.

    Tokens are charged when a request ends: more may be used than the limit, which `used` says then.
    """
    return {
        "kind": kind,
        "window_seconds": limits.window_s,
        "limit": state.limit,
        "used": state.limit - state.remaining,
        "remaining": state.remaining,
        "resets_at": _at(state.reset_s),
        "next_at": None if state.remaining else _at(state.retry_after_s),
    }


def _at(seconds: float) -> str | None:
    """The time in so many seconds, in UTC (RFC 3339); None for now."""
    if seconds <= 0:
        return None
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat(timespec="seconds")
