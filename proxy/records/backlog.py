"""Records that the spool cannot take because the disk or the spool is full, kept in memory.

Up to a limit each record is kept whole. Beyond it they are summed up, one record for each user, key and
outcome, so that usage and rate windows stay right in bounded memory. `request_log.py` decides when to
retry.
"""

from __future__ import annotations

from collections import deque

from proxy.records.record import RequestRecord

LIMIT_BYTES = 8 * 2**20
MAX_SUMS = 20_000


class Backlog:
    """Waiting lines, and sums of the records for which there was no room."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._sums: dict[tuple[object, ...], RequestRecord] = {}
        self.lost = 0
        """Number of requests for which even the sums had no room."""

    def __bool__(self) -> bool:
        return bool(self._lines or self._sums)

    def __len__(self) -> int:
        """Number of waiting rows."""
        return len(self._lines) + len(self._sums)

    def add(self, record: RequestRecord, line: bytes) -> None:
        """Keep a record. `line` is its line for the spool."""
        if not self._sums and self._bytes + len(line) <= self._limit_bytes:
            self._lines.append(line)
            self._bytes += len(line)
        else:
            self._sum_up(record)

    def _sum_up(self, record: RequestRecord) -> None:
        group = (
            record.user_id, record.key_id, record.status_code, record.error, record.admitted,
            record.batch_id,
        )  # fmt: skip
        sums = self._sums.get(group)
        if sums is not None:
            self._sums[group] = _sum(sums, record)
        elif len(self._sums) < MAX_SUMS:
            self._sums[group] = record.but(latency_ms=None, ttft_ms=None, queue_ms=None)
        else:
            self.lost += record.count

    def take(self, size: int, kind: str) -> bytes:
        """Remove and return lines, about `size` bytes. The sums come last, as lines of this kind."""
        taken: list[bytes] = []
        length = 0
        while self._lines and length < size:
            taken.append(self._lines.popleft())
            length += len(taken[-1])
        while not self._lines and self._sums and length < size:
            _, record = self._sums.popitem()
            taken.append(record.line(kind))
            length += len(taken[-1])
        self._bytes = max(0, self._bytes - length)
        return b"".join(taken)

    def put_back(self, lines: bytes) -> None:
        """Undo a `take`."""
        self._lines.extendleft(reversed(lines.splitlines(keepends=True)))
        self._bytes += len(lines)


def _sum(sums: RequestRecord, record: RequestRecord) -> RequestRecord:
    """Add two records. The sum has the later time, so that a rate window does not drop it too early."""
    return sums.but(
        created_at=max(sums.created_at, record.created_at),
        admitted_at=_latest(sums.admitted_at, record.admitted_at),
        request_bytes=sums.request_bytes + record.request_bytes,
        response_bytes=sums.response_bytes + record.response_bytes,
        prompt_tokens=_total(sums.prompt_tokens, record.prompt_tokens),
        completion_tokens=_total(sums.completion_tokens, record.completion_tokens),
        tokens_charged=sums.count_tokens() + record.count_tokens(),
        count=sums.count + record.count,
    )


def _latest(one: float | None, other: float | None) -> float | None:
    return max(one or 0.0, other or 0.0) or None


def _total(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)
