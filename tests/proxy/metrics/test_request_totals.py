"""What is summed up of requests that have ended, within bounds whatever users and engines send."""

from __future__ import annotations

from proxy.metrics.request_totals import BUCKETS_S, MAX_REASONS, MAX_USERS, OTHER, RequestTotals
from tests.support.records import record


def test_an_admitted_request_is_counted_with_its_tokens_and_times() -> None:
    """By user and status; the time is in the class whose bound it does not exceed."""
    totals = RequestTotals()
    totals.add_all(
        [record(prompt_tokens=7, completion_tokens=3, latency_ms=250.0, queue_ms=0.0, ttft_ms=90.0)] * 2
    )
    assert totals.requests == {("alice", 200): 2}
    assert totals.tokens == {("alice", "prompt"): 14, ("alice", "completion"): 6}
    durations = totals.durations["/v1/completions"]
    assert durations.counts[BUCKETS_S.index(0.25)] == 2
    assert durations.sum_s == 0.5
    assert totals.queue_times["/v1/completions"].counts[0] == 2
    assert not totals.first_tokens, "only a stream has a first token"


def test_times_beyond_the_longest_class_are_counted() -> None:
    """In the class without a bound."""
    totals = RequestTotals()
    totals.add_all([record(latency_ms=10e6, stream=True, ttft_ms=9e6)])
    assert totals.durations["/v1/completions"].counts[-1] == 1
    assert totals.first_tokens["/v1/completions"].counts[-1] == 1


def test_refusals_and_failures_are_apart() -> None:
    """A request that was not admitted has no duration, tokens or time in the queue."""
    totals = RequestTotals()
    totals.add_all(
        [
            record(admitted=False, status_code=429, error="rate_limit_exceeded", latency_ms=1.0),
            record(status_code=499, error="client_left", latency_ms=1.0),
        ]
    )
    assert totals.refusals == {"rate_limit_exceeded": 1}
    assert totals.failures == {"client_left": 1}
    assert sum(totals.durations["/v1/completions"].counts) == 1


def test_labels_are_bounded() -> None:
    """Users, reasons and paths beyond their bounds are summed up."""
    totals = RequestTotals()
    totals.add_all(
        record(username=f"user{number}", error=f"code{number}", path=f"/{number}")
        for number in range(MAX_USERS + 10)
    )
    assert len(totals.requests) == MAX_USERS + 1
    assert totals.requests[OTHER, 200] == 10
    assert len(totals.failures) == MAX_REASONS + 1
    assert set(totals.durations) == {OTHER}
