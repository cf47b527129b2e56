"""The parameters of OpenAI's lists, and the list that answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import orjson

from proxy.files import errors

MAX_PARAMETERS = 16


def query_of(target: str, allowed: Sequence[str]) -> dict[str, str]:
    """The parameters of a request's target.

    Raises:
        ApiError: 400, one is not known, or is given twice.
    """
    query = target.partition("?")[2]
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise errors.bad_query("query", "cannot be read: write it as name=value&name=value") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed or name in found:
            raise errors.bad_query(name, f"is not known here or given twice: {', '.join(allowed)}")
        found[name] = value
    return found


def limit_of(query: Mapping[str, str], *, default: int, most: int) -> int:
    """The parameter `limit`.

    Raises:
        ApiError: 400.
    """
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdecimal()) or len(text) > 6 or not 1 <= int(text) <= most:
        raise errors.bad_query("limit", f"must be a whole number from 1 to {most}")
    return int(text)


def after_of(query: Mapping[str, str]) -> str | None:
    """The parameter `after`: an id. One that PostgreSQL cannot take is nobody's.

    Raises:
        ApiError: 400.
    """
    after = query.get("after") or None
    if after is not None and (len(after) > 64 or not after.isascii() or not after.isprintable()):
        raise errors.bad_query("after", "must be the id of the last one of the page before")
    return after


def as_list(rows: Sequence[Mapping[str, Any]], limit: int) -> bytes:
    """OpenAI's form of a list. `rows` has one more than `limit` where there are more."""
    page = rows[:limit]
    return orjson.dumps(
        {
            "object": "list",
            "data": list(page),
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(rows) > limit,
        }
    )
