"""Rate windows against a brute-force model."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.windows import MAX_ENTRIES, SlidingWindow, Windows

gaps = st.one_of(
    st.just(0.0), st.floats(0, 3), st.sampled_from([0.5, 1.0, 2.0, 9.999999, 10.0, 10.000001])
)


@given(limit=st.integers(1, 8), gaps=st.lists(gaps, max_size=60))
@settings(max_examples=300)
def test_admits_exactly_what_the_definition_allows(limit: int, gaps: list[float]) -> None:
    """An arrival is admitted if and only if fewer than LIMIT were in the WINDOW seconds before."""
    window, window_s, now = SlidingWindow(), 10.0, 1000.0
    admitted: list[float] = []
    for gap in gaps:
        now += gap
        within = [t for t in admitted if t + window_s > now]
        decision = window.admit(limit=limit, window_s=window_s, now=now)
        assert decision.admitted == (len(within) < limit)
        if decision.admitted:
            admitted.append(now)
            within.append(now)
        assert decision.remaining == limit - len(within)
        assert abs(decision.reset_s - (within[-1] + window_s - now)) < 1e-6


@given(limit=st.integers(1, 6), gaps=st.lists(gaps, min_size=1, max_size=40))
def test_retry_after_is_when_one_more_is_admitted(limit: int, gaps: list[float]) -> None:
    """A refused request that comes again after `retry_after_s` passes, and just before it does not."""
    window, now = SlidingWindow(), 0.0
    for gap in gaps:
        now += gap
        decision = window.admit(limit=limit, window_s=10.0, now=now)
    while decision.admitted:
        decision = window.admit(limit=limit, window_s=10.0, now=now)
    wait = decision.retry_after_s
    assert 0 < wait <= 10 + 1e-9
    assert not window.admit(limit=limit, window_s=10.0, now=now + wait * 0.999).admitted
    assert window.admit(limit=limit, window_s=10.0, now=now + wait + 1e-9).admitted


def test_a_lowered_limit_holds_at_once() -> None:
    """What was admitted under a higher limit counts under the lower one, and so does the wait."""
    window = SlidingWindow()
    for second in range(10):
        assert window.admit(limit=10, window_s=60, now=float(second)).admitted
    decision = window.admit(limit=3, window_s=60, now=10.0)
    assert not decision.admitted
    assert decision.remaining == 0
    assert decision.retry_after_s == 7 + 60 - 10


def test_memory_is_bounded_whatever_the_limit_and_errs_towards_refusing() -> None:
    """200,000 admissions under a limit of 10⁹ take a bounded number of entries; none is forgotten."""
    window, limit, now = SlidingWindow(), 10**9, 0.0
    for _ in range(200_000):
        now += 0.0001
        decision = window.admit(limit=limit, window_s=60.0, now=now)
    assert decision.remaining == limit - 200_000
    assert len(window._entries) <= 2 * MAX_ENTRIES
    assert sum(sys.getsizeof(entry) for entry in window._entries) < 1_000_000
    # One by one they leave no earlier than they should.
    assert window.admit(limit=limit, window_s=60.0, now=60.0).remaining <= limit - 200_000
    assert window.admit(limit=limit, window_s=60.0, now=now + 61).remaining == limit - 2


def test_history_of_an_earlier_process_counts() -> None:
    """Admissions given with `seed` take places until they leave the window."""
    windows = Windows(started=1000.0)
    assert windows.needs_history(7, window_s=60, now=1001.0)
    windows.seed(7, [(950.0, 1), (990.0, 2)], window_s=60)
    assert not windows.needs_history(7, window_s=60, now=1001.0)
    assert not windows.admit(7, limit=3, window_s=60, now=1001.0).admitted
    assert windows.admit(7, limit=3, window_s=60, now=1010.5).admitted
    assert not windows.needs_history(8, window_s=60, now=1060.0)


def test_a_window_made_longer_asks_for_more_history() -> None:
    """What an earlier reading gave is replaced, what this process admitted stays and counts once."""
    windows = Windows(started=1000.0)
    windows.seed(7, [(990.0, 1)], window_s=20)
    assert windows.admit(7, limit=9, window_s=20, now=1001.0).remaining == 7
    assert windows.needs_history(7, window_s=600, now=1002.0)
    windows.seed(7, [(500.0, 1), (990.0, 1)], window_s=600)
    assert not windows.needs_history(7, window_s=600, now=1002.0)
    assert windows.admit(7, limit=9, window_s=600, now=1002.0).remaining == 5


def test_windows_of_users_who_went_away_are_dropped() -> None:
    """Memory does not grow with the users ever seen."""
    windows = Windows(started=0.0)
    for user in range(Windows.SWEEP_EVERY):
        windows.admit(user, limit=1, window_s=1.0, now=user * 0.01)
    assert len(windows._windows) <= 102
