"""Times as people type them: `30m`, `24h`, `7d`, `2027-01-31`, `2027-01-31T18:00+01:00`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MAX_S = 100 * 366 * _SECONDS["d"]


def parse_duration(text: str) -> float:
    """Parse a duration into seconds.

    Raises:
        ValueError: the text is no duration; the error says what is allowed.
    """
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([smhdw])", text)
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if (match is None and text != "0") or seconds > _MAX_S:
        raise ValueError("must be 0 or a time such as 90s, 30m, 24h, 7d or 2w, at most 100 years")
    return seconds


def parse_past(text: str, *, now: datetime) -> datetime:
    """A moment in the past: `7d` means seven days ago; a date or an ISO 8601 time means itself."""
    return _parse_moment(text, now=now, direction=-1)


def parse_future(text: str, *, now: datetime) -> datetime | None:
    """A moment in the future: `30d`, a date (its first moment) or an ISO 8601 time; None for `never`."""
    if text == "never":
        return None
    moment = _parse_moment(text, now=now, direction=1)
    if moment <= now:
        raise ValueError("must not be over already")
    return moment


def _parse_moment(text: str, *, now: datetime, direction: int) -> datetime:
    try:
        return now + direction * timedelta(seconds=parse_duration(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not 1900 <= moment.year <= 9998:  # what every time zone can still express
        raise ValueError(
            "must be a time such as 30m, 24h or 7d, a date such as 2027-01-31, or an ISO 8601 time "
            "such as 2027-01-31T18:00+01:00; without an offset it is UTC"
        )
    return moment
