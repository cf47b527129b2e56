"""Folds many refused requests into few rows.

A user's first refusals within a second have rows of their own; further ones of the same kind share a row
with a count. The count is overwritten in the spool as it grows, so that kill -9 loses none.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.records.record import COLUMNS_AFTER_COUNT, RequestRecord
from proxy.records.spool import Spool, SpoolFile

ROWS_PER_SECOND = 10
"""Limit for one user. Further refusals of the same kind within the second are folded into one row."""
COUNT_DIGITS = 10


@dataclass(kw_only=True, slots=True)
class _Folded:
    record: RequestRecord
    file: SpoolFile | None = None
    """The file that has its line; None if the spool did not take it."""
    count_at: int = 0
    """The offset of its count in the file."""


class Refusals:
    """Counts refusals of the current second. Times are Unix seconds."""

    def __init__(self) -> None:
        self._second = 0
        self._rows: dict[int, int] = {}
        self._folded: dict[tuple[int, int, int | None, str | None], _Folded] = {}

    def takes_own_row(self, record: RequestRecord) -> bool:
        """Count a refusal; true if it gets a row of its own, false if it must be folded."""
        second = _second_of_end(record)
        if second != self._second:
            self._second = second
            self._rows.clear()
        self._rows[record.user_id] = rows = self._rows.get(record.user_id, 0) + 1
        return rows <= ROWS_PER_SECOND

    def fold(self, record: RequestRecord, spool: Spool, kind: str) -> None:
        """Count a refusal in its shared row, here and in the spool.

        Raises:
            OSError: the spool cannot be written. The refusal is counted here nevertheless.
        """
        # Not by path: a client that tries many paths would get a row for each.
        key = (_second_of_end(record), record.user_id, record.status_code, record.error)
        folded = self._folded.get(key)
        if folded is None:
            self._folded[key] = folded = _Folded(record=record)
            line = record.line(kind, count_digits=COUNT_DIGITS)
            file, at = spool.current, spool.current.size
            spool.append(line)
            folded.file = file
            up_to_count = line.rsplit(b"\t", COLUMNS_AFTER_COUNT)[0]
            folded.count_at = at + up_to_count.rindex(b"\t") + 1
            return
        shared = folded.record
        shared.count += record.count
        shared.request_bytes += record.request_bytes
        shared.response_bytes += record.response_bytes
        if folded.file is not None:
            folded.file.patch(folded.count_at, b"%0*d" % (COUNT_DIGITS, shared.count))

    def take_folded(self, now: float) -> list[RequestRecord]:
        """Remove and return the complete rows of seconds that are over at `now`."""
        done = [key for key in self._folded if key[0] + 1 <= now]
        return [self._folded.pop(key).record for key in done]


def _second_of_end(record: RequestRecord) -> int:
    """When a request was refused, in Unix seconds. Requests that came at different times may be refused
    in the same second, for instance because their bodies break off.
    """
    return int(record.created_at + (record.latency_ms or 0.0) / 1000)
