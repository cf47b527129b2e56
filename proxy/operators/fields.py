"""Fields that several operations of the admin API have."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import get_args

from proxy.admin import times
from proxy.admin.arguments import invitation_life
from proxy.admin.limit_options import PARSERS
from proxy.identity.limits import GROUP_LIMITS, LIMITS, Period
from proxy.operators.operation import Field, Parse

MAX_PAGE = 500
DEFAULT_PAGE = 100


def _at_now(parse: Callable[..., object]) -> Parse:
    """Parse a time such as 7d, which counts from now."""

    def parse_now(text: str) -> object:
        return parse(text, now=datetime.now(UTC))

    return parse_now


def _text(value: str) -> str:
    if not re.fullmatch(r"[^\x00-\x1f\x7f]{1,256}", value):
        raise ValueError("must be 1 to 256 printable characters")
    return value


def _page(value: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", value) or not 1 <= int(value) <= MAX_PAGE:
        raise ValueError(f"must be a whole number from 1 to {MAX_PAGE}")
    return int(value)


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._@-]{1,64}", value):
        raise ValueError("must be 1 to 64 of A-Z a-z 0-9 . _ @ -")
    return value


def _status(value: str) -> int:
    if not re.fullmatch("[1-5][0-9]{2}", value):
        raise ValueError("must be an HTTP status such as 429")
    return int(value)


def _by(value: str) -> str:
    if value not in ("user", "day"):
        raise ValueError("must be user or day")
    return value


_HELP = {
    "rate_limit": "Requests in any window; null: the default, for a group no limit.",
    "rate_window_seconds": "The window's length in seconds; null: the default.",
    "token_limit": "Tokens in any window; null: the default, for a group no limit.",
    "weight": "The share of turns; null: 1.",
    "max_concurrent": "Requests at the engine at a time; null: any number.",
    "token_budget": "Tokens in a period of the calendar; null: any number.",
    "budget_period": "day, week or month; null: month.",
    "batch_limit": "Lines of batches in 24 hours; null: any number.",
}


def _limit(name: str) -> Field:
    schema: dict[str, object] = {
        "type": "number" if name in ("rate_window_seconds", "weight") else "integer"
    }
    if name == "budget_period":
        schema = {"type": "string", "enum": list(get_args(Period))}
    return Field(name=name, parse=PARSERS[name], help=_HELP[name], schema=schema, nullable=True)


USER_LIMITS = tuple(map(_limit, LIMITS))
SHARED_LIMITS = tuple(map(_limit, GROUP_LIMITS))

USERNAME = Field(name="username", parse=_name, help="The user's name.", required=True)
GROUP_NAME = Field(name="name", parse=_name, help="The group's name.", required=True)
EXPIRES = Field(
    name="expires", parse=_at_now(times.parse_future), nullable=True,
    help="When the key expires: 30d, a date or an ISO 8601 time; null or never: never.",
)  # fmt: skip
GRACE = Field(
    name="grace", parse=times.parse_duration, help="How long old keys still work: 1h; default 0."
)
VALID = Field(
    name="valid", parse=invitation_life, help="How long the link is good: 1m to 90d; default 7d."
)
KEY = Field(name="public_id", parse=_name, help="Replace this key only.")
IS_ACTIVE = Field(
    name="is_active", parse=_text, schema={"type": "boolean"}, help="Whether the user's keys work."
)
IS_ADMIN = Field(
    name="is_admin",
    parse=_text,
    schema={"type": "boolean"},
    help="Whether the user is an administrator.",
)
GROUP = Field(name="group", parse=_name, nullable=True, help="The user's group; null: none.")

LIMIT = Field(
    name="limit", parse=_page, schema={"type": "integer", "minimum": 1, "maximum": MAX_PAGE},
    help=f"Rows of a page; default {DEFAULT_PAGE}.",
)  # fmt: skip
AFTER = Field(name="after", parse=_text, help="The value of `next` of the page before.")
PAGE = (LIMIT, AFTER)
USER = Field(name="user", parse=_name, help="Of this user only.")
SINCE = Field(
    name="since", parse=_at_now(times.parse_past), help="A time such as 24h, a date or an ISO 8601 time."
)
UNTIL = Field(name="until", parse=_at_now(times.parse_past), help="The same.")
BY = Field(
    name="by", parse=_by, schema={"type": "string", "enum": ["user", "day"]}, help="Default: user."
)
STATUS = Field(
    name="status", parse=_status, schema={"type": "integer"}, help="With this HTTP status only."
)
ERROR = Field(name="error", parse=_text, help="With this error only, such as rate_limit_exceeded.")
COMMAND = Field(
    name="arguments", parse=_text, required=True,
    schema={"type": "array", "items": {"type": "string"}, "maxItems": 64},
    help="A command line of user_management_cli.sh.",
)  # fmt: skip
