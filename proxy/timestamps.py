"""Points in time as text, for records and the log."""

from __future__ import annotations

from datetime import UTC, datetime

_SECOND = (-1, "")
"""The last second and its text: most timestamps that are written share it."""


def timestamp(unix_s: float) -> str:
    """A Unix time in ISO 8601, to the microsecond, as PostgreSQL reads it."""
    global _SECOND  # noqa: PLW0603
    second = int(unix_s)
    if second != _SECOND[0]:
        _SECOND = second, f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
    return f"{_SECOND[1]}.{int((unix_s - second) * 1e6):06d}+00:00"
