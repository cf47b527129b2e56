"""How limits of users and groups are written and told; ranges are those of the configuration keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import get_args

from proxy.admin.output import budget_text
from proxy.identity.limits import Period
from proxy.identity.users import User
from runtime.config import KEYS, Config


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
    "batch_limit": KEYS["LLAMA_PROXY_TOKEN_LIMIT"].parse,
}
"""By the limit's name; each raises ValueError with a text that says what is allowed."""


def limit_text(user: User, config: Config) -> str:
    """A user's window in words."""
    limit = user.rate_limit or config.integer("LLAMA_PROXY_RATE_LIMIT")
    window_s = user.rate_window_seconds or config.number("LLAMA_PROXY_RATE_WINDOW_SECONDS")
    token_limit = user.token_limit or config.optional_integer("LLAMA_PROXY_TOKEN_LIMIT")
    tokens = f" and {token_limit} tokens" if token_limit else ""
    is_set = user.rate_limit or user.rate_window_seconds or user.token_limit
    default = "" if is_set else " (default)"
    return f"{limit} requests{tokens} in {window_s:.12g} s{default}"


def all_limits_text(user: User, config: Config) -> str:
    """All limits of a user in words, those left out that are as for everybody."""
    text = limit_text(user, config)
    if user.weight != 1:
        text += f"; weight {user.weight:.12g}"
    if user.max_concurrent:
        text += f"; {user.max_concurrent} at a time"
    if user.token_budget:
        text += f"; {budget_text(user.token_budget, user.budget_period)}"
    if user.batch_limit:
        text += f"; {user.batch_limit} lines of batches in 24 h"
    return text
