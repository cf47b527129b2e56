"""Rate windows against a brute-force model."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.ratelimit.sliding_window import MAX_ENTRIES, Decision, Entry, SlidingWindow, Windows

gaps = st.one_of(
    st.just(0.0), st.floats(0, 3), st.sampled_from([0.5, 1.0, 2.0, 9.999999, 10.0, 10.000001])
)


def new_window() -> SlidingWindow:
    return SlidingWindow(complete_from=0.0)


def admit(window: SlidingWindow, *, limit: int, now: float, window_s: float = 10.0) -> Decision:
    decision, entry = window.admit(limit=limit, window_s=window_s, now=now)
    assert decision.admitted == (entry is not None)
    return decision


@given(limit=st.integers(1, 8), gaps=st.lists(gaps, max_size=60))
@settings(max_examples=300)
def test_admits_exactly_what_the_definition_allows(limit: int, gaps: list[float]) -> None:
    """An arrival is admitted if and only if fewer than LIMIT were in the WINDOW seconds before."""
    window, window_s, now = new_window(), 10.0, 1000.0
    admitted: list[float] = []
    for gap in gaps:
        now += gap
        within = [t for t in admitted if t + window_s > now]
        decision = admit(window, limit=limit, now=now)
        assert decision.admitted == (len(within) < limit)
        if decision.admitted:
            admitted.append(now)
            within.append(now)
        assert decision.remaining == limit - len(within)
        assert abs(decision.reset_s - (within[-1] + window_s - now)) < 1e-6


steps = st.lists(
    st.tuples(
        gaps,
        st.integers(1, 6),  # the limit, which changes while in use
        st.sampled_from([0.5, 2.0, 10.0]),  # the window, too
        st.sampled_from(["admit", "admit", "admit", "charge", "give back"]),
    ),
    max_size=60,
)


@given(steps=steps)
@settings(max_examples=400)
def test_whatever_changes_while_in_use_the_definition_holds(
    steps: list[tuple[float, int, float, str]],
) -> None:
    """Limit and window of the moment count; what is given back does not; charges may go over."""
    windows, now = Windows(started=0.0), 100.0
    known: list[list[float]] = []  # [time, how many], all there ever were
    held: list[tuple[Entry, list[float]]] = []
    for gap, limit, window_s, what in steps:
        now += gap
        if windows.needs_history(7, window_s=window_s, now=now):
            history = [(t, int(n)) for t, n in known if t + window_s > now and n]
            windows.seed(7, history, window_s=window_s, now=now)
        used = sum(n for t, n in known if t + window_s > now)
        if what == "admit":
            decision, entry = windows.admit(7, limit=limit, window_s=window_s, now=now)
            assert decision.admitted == (used < limit)
            if entry is not None:
                known.append([now, 1])
                held.append((entry, known[-1]))
        elif what == "charge":
            windows.charge(7, 3, window_s=window_s, now=now)
            known.append([now, 3])
        elif held:
            entry, record = held.pop()
            counted = entry[2] > 0
            windows.give_back(7, entry)
            if counted:  # else history has taken its place, which errs towards refusing
                record[1] = 0
        used = sum(n for t, n in known if t + window_s > now)
        look = windows.look(7, limit=limit, window_s=window_s, now=now)
        assert look.remaining == max(0, limit - used)
        assert look.admitted == (used < limit)


@given(limit=st.integers(1, 6), gaps=st.lists(gaps, min_size=1, max_size=40))
def test_retry_after_is_when_one_more_is_admitted(limit: int, gaps: list[float]) -> None:
    """A refused request that comes again after `retry_after_s` passes, and just before it does not."""
    window, now = new_window(), 0.0
    for gap in gaps:
        now += gap
        decision = admit(window, limit=limit, now=now)
    while decision.admitted:
        decision = admit(window, limit=limit, now=now)
    wait = decision.retry_after_s
    assert 0 < wait <= 10 + 1e-9
    assert not admit(window, limit=limit, now=now + wait * 0.999).admitted
    assert admit(window, limit=limit, now=now + wait + 1e-9).admitted


def test_a_lowered_limit_holds_at_once() -> None:
    """What was admitted under a higher limit counts under the lower one, and so does the wait."""
    window = new_window()
    for second in range(10):
        assert admit(window, limit=10, window_s=60, now=float(second)).admitted
    decision = admit(window, limit=3, window_s=60, now=10.0)
    assert not decision.admitted
    assert decision.remaining == 0
    assert decision.retry_after_s == 7 + 60 - 10


def test_memory_is_bounded_whatever_the_limit_and_errs_towards_refusing() -> None:
    """200,000 admissions under a limit of 10⁹ take a bounded number of entries; none is forgotten."""
    window, limit, now = new_window(), 10**9, 0.0
    for _ in range(200_000):
        now += 0.0001
        decision = admit(window, limit=limit, window_s=60.0, now=now)
    assert decision.remaining == limit - 200_000
    assert len(window._entries) <= 2 * MAX_ENTRIES
    assert sum(sys.getsizeof(entry) for entry in window._entries) < 1_000_000
    # One by one they leave no earlier than they should.
    assert admit(window, limit=limit, window_s=60.0, now=60.0).remaining <= limit - 200_000
    assert admit(window, limit=limit, window_s=60.0, now=now + 61).remaining == limit - 2


@given(gaps=st.lists(st.floats(0, 0.02), min_size=50, max_size=300))
@settings(max_examples=50)
def test_beyond_the_bound_more_is_refused_and_never_less(gaps: list[float]) -> None:
    """With neighbours in one entry, each admission still has fewer than LIMIT in its WINDOW."""
    window, now, limit = new_window(), 0.0, MAX_ENTRIES + 20
    admitted: list[float] = [0.0] * MAX_ENTRIES
    for _ in range(MAX_ENTRIES):
        window.admit(limit=limit, window_s=1.0, now=0.0)
    for gap in gaps:
        now += gap
        within = sum(t + 1.0 > now for t in admitted)
        if admit(window, limit=limit, window_s=1.0, now=now).admitted:
            assert within < limit
            admitted.append(now)


def test_history_of_an_earlier_process_counts() -> None:
    """Admissions given with `seed` take places until they leave the window."""
    windows = Windows(started=1000.0)
    assert windows.needs_history(7, window_s=60, now=1001.0)
    windows.seed(7, [(950.0, 1), (990.0, 2)], window_s=60, now=1001.0)
    assert not windows.needs_history(7, window_s=60, now=1001.0)
    assert not windows.admit(7, limit=3, window_s=60, now=1001.0)[0].admitted
    assert windows.admit(7, limit=3, window_s=60, now=1010.5)[0].admitted
    assert not windows.needs_history(8, window_s=60, now=1060.0)


def test_a_window_made_longer_asks_for_more_history() -> None:
    """What was known is replaced, what this process admitted after it was asked stays."""
    windows = Windows(started=1000.0)
    windows.seed(7, [(990.0, 1)], window_s=20, now=1000.5)
    assert windows.admit(7, limit=9, window_s=20, now=1001.0)[0].remaining == 7
    assert windows.needs_history(7, window_s=600, now=1002.0)
    assert windows.admit(7, limit=9, window_s=20, now=1002.5)[0].remaining == 6
    windows.seed(7, [(500.0, 1), (990.0, 1), (1001.0, 1)], window_s=600, now=1002.0)
    assert not windows.needs_history(7, window_s=600, now=1003.0)
    assert windows.admit(7, limit=9, window_s=600, now=1003.0)[0].remaining == 4


def test_what_a_shorter_window_forgot_is_asked_for() -> None:
    """Long after the process began, too."""
    windows = Windows(started=0.0)
    windows.admit(7, limit=9, window_s=1.0, now=1000.0)
    windows.admit(7, limit=9, window_s=1.0, now=1002.0)
    assert not windows.needs_history(7, window_s=1.0, now=1002.0)
    assert windows.needs_history(7, window_s=60.0, now=1002.0)
    assert not windows.needs_history(7, window_s=60.0, now=1061.0)


def test_windows_of_users_who_went_away_are_dropped() -> None:
    """Memory does not grow with the users ever seen; a longer window asks for what is gone."""
    windows = Windows(started=-1000.0)
    for user in range(Windows.SWEEP_EVERY):
        windows.admit(user, limit=1, window_s=1.0, now=user * 0.01)
    assert len(windows._windows) <= 102
    now = Windows.SWEEP_EVERY * 0.01
    assert not windows.needs_history(0, window_s=1.0, now=now)
    assert windows.needs_history(0, window_s=60.0, now=now)
