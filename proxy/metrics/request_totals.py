"""Sums of the requests that have ended.

Records come in batches from the access log, a tenth of a second after the requests' ends at most, so
that a request itself pays nothing. Every label has a bounded number of values.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable

from proxy.records.record import RequestRecord
from proxy.upstream.routes import path_label

MAX_USERS = 500
"""Users with figures of their own. Further ones are summed up as OTHER."""
MAX_REASONS = 100
"""Reasons with a counter of their own: a foreign engine may send any code."""
OTHER = "other"
BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of the classes of times, inclusive."""


class Histogram:
    """Times of requests, by class."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        """One for each of BUCKETS_S, and one for what is longer. Not cumulative."""
        self.sum_s = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one time."""
        seconds = milliseconds / 1000
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds


class RequestTotals:
    """Counters since the start of this process."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        """By user and status; an empty user for requests without a valid key, 0 for no status."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        """By user and kind: prompt or completion."""
        self.refusals: Counter[str] = Counter()
        """Requests refused before the engine received them, by reason: the code of the error."""
        self.failures: Counter[str] = Counter()
        """Requests that failed or were ended later, by reason."""
        self.durations: defaultdict[str, Histogram] = defaultdict(Histogram)
        """From a request's arrival to its end, by path."""
        self.first_tokens: defaultdict[str, Histogram] = defaultdict(Histogram)
        """From the arrival of a request for a stream to the engine's first byte, by path."""
        self.queue_times: defaultdict[str, Histogram] = defaultdict(Histogram)
        """The time in the queue, by path."""
        self._users: set[str] = set()
        """Those with figures of their own."""

    def add_all(self, records: Iterable[RequestRecord]) -> None:
        """Count requests that have ended. Of a row of folded refusals, each request comes by itself."""
        for record in records:
            self._add(record)

    def _add(self, record: RequestRecord) -> None:
        user = record.username
        if user and user not in self._users:
            user = self._new_user(user)
        self.requests[user, record.status_code or 0] += 1
        if record.error is not None:
            reasons = self.failures if record.admitted else self.refusals
            known = record.error in reasons or len(reasons) < MAX_REASONS
            reasons[record.error if known else OTHER] += 1
        if not record.admitted:
            return
        if record.tokens_charged is None:
            record.count_tokens()
        if record.prompt_tokens:
            self.tokens[user, "prompt"] += record.prompt_tokens
        if record.completion_tokens:
            self.tokens[user, "completion"] += record.completion_tokens
        path = path_label(record.path)
        self.durations[path].add(record.latency_ms or 0.0)
        if record.queue_ms is not None:
            self.queue_times[path].add(record.queue_ms)
        if record.stream and record.ttft_ms is not None:
            self.first_tokens[path].add(record.ttft_ms)

    def _new_user(self, username: str) -> str:
        """The label of a user who has none yet."""
        if len(self._users) >= MAX_USERS:
            return OTHER
        self._users.add(username)
        return username
