"""What the page Usage shows: one reading of everything for a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import Connection

from proxy.dashboard.data import breakdowns
from proxy.dashboard.data.breakdowns import Percentiles, Sums
from proxy.records import reports
from proxy.records.reports import Usage

By = Literal["user", "key", "group", "day"]


@dataclass(frozen=True, kw_only=True)
class UsageFigures:
    """The figures of all users, or of one."""

    by: By
    """What each of `rows` is the sum of."""
    rows: Sequence[Usage | Sums]
    days: Sequence[Usage]
    percentiles: Percentiles
    refusals: Sequence[tuple[str, int]]


def read_usage(
    connection: Connection, *, by: By, since: datetime, until: datetime, user: str | None
) -> UsageFigures:
    """Read the figures. `user` None: of all users."""
    days = reports.usage(connection, since=since, by="day", user=user)
    rows: Sequence[Usage | Sums]
    if by == "day":
        rows = days
    elif by == "user":
        rows = reports.usage(connection, since=since, by="user", user=user)
    else:
        rows = breakdowns.sums_by(connection, by, since=since, until=until, user=user)
    return UsageFigures(
        by=by,
        rows=rows,
        days=days,
        percentiles=breakdowns.percentiles(connection, since=since, until=until, user=user),
        refusals=breakdowns.refusals(connection, since=since, until=until, user=user),
    )
