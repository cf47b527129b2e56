"""How limits of users and groups are written, in the ranges of the configuration keys for all users."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import get_args

from proxy.identity.limits import Period
from runtime.config import KEYS


def _weight(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text) or not 0.01 <= float(text) <= 1000:
        raise ValueError("must be a number from 0.01 to 1000")
    return float(text)


def _period(text: str) -> str:
    if text not in get_args(Period):
        raise ValueError(f"must be one of {', '.join(get_args(Period))}")
    return text


PARSERS: dict[str, Callable[[str], object]] = {
    "rate_limit": KEYS["LLAMA_PROXY_RATE_LIMIT"].parse,
    "rate_window_seconds": KEYS["LLAMA_PROXY_RATE_WINDOW_SECONDS"].parse,
    "token_limit": KEYS["LLAMA_PROXY_TOKEN_LIMIT"].parse,
    "weight": _weight,
    "max_concurrent": KEYS["LLAMA_PROXY_MAX_CONCURRENT"].parse,
    "token_budget": KEYS["LLAMA_PROXY_TOKEN_LIMIT"].parse,
    "budget_period": _period,
}
"""By the limit's name; each raises ValueError with a text that says what is allowed."""
