"""The headers with which the proxy tells the engine of a request, and the engine what it used."""

from __future__ import annotations

import math

from runtime.engine.generation.generation import User
from runtime.engine.http.asgi import Scope, header
from runtime.engine.http.usage_book import MAX_ID_CHARACTERS

USAGE_HEADER = b"x-llamaserve-usage"
REQUEST_HEADER = b"x-llamaserve-request"
_USER_HEADER = b"x-llamaserve-user"
_WEIGHT_HEADER = b"x-llamaserve-weight"
_WEIGHTS = (0.01, 100.0)
"""The smallest and the largest."""


def user(scope: Scope) -> User:
    """The user that a request's headers name. The request has passed the key check before."""
    tag = header(scope, _USER_HEADER) or ""
    try:
        weight = float(header(scope, _WEIGHT_HEADER) or "1")
    except ValueError:
        weight = 1.0
    low, high = _WEIGHTS
    weight = min(max(weight, low), high) if math.isfinite(weight) else 1.0
    return User(tag=tag[:MAX_ID_CHARACTERS], weight=weight)
