"""The fair queue: every step of it against what it promises."""

from __future__ import annotations

from collections import Counter
from math import floor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from proxy.scheduling.fair_queue import FairQueue, QueueEntry, QueueFullError

USERS = range(5)
QUEUE_SIZE, USER_QUEUE_SIZE = 12, 5
MAX_LIMIT = 4
WEIGHTS = {0: 1.0, 1: 1.0, 2: 3.0, 3: 0.5, 4: 10.0}
MAX_CONCURRENT = {0: None, 1: 1, 2: 2, 3: None, 4: None}


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FairQueueMachine(RuleBasedStateMachine):
    """Requests come, end, leave while they wait, find no engine, in any order.

    Beside the queue it keeps a plain list of what has come and what has become of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.limit = 2
        self.queue = FairQueue(
            limit=self.limit,
            queue_size=QUEUE_SIZE,
            user_queue_size=USER_QUEUE_SIZE,
            clock=self.clock,
        )
        self.held: dict[QueueEntry, int] = {}
        """What has entered and not left: entry and user, in order of arrival."""
        self.overtaken: dict[QueueEntry, Counter[int]] = {}
        """The turns that others have had since a request became the first of its user."""
        self.had_turn: set[QueueEntry] = set()

    entries = Bundle("entries")

    @rule(target=entries, user=st.sampled_from(USERS))
    def enter(self, user: int) -> QueueEntry | None:
        waiting = [entry for entry in self.held if entry.waiting]
        of_user = [entry for entry in waiting if self.held[entry] == user]
        running = self.running_of(user)
        refused = None
        try:
            entry = self.queue.enter(user, weight=WEIGHTS[user], max_concurrent=MAX_CONCURRENT[user])
        except QueueFullError as error:
            refused = error
        if refused is not None:
            assert len(of_user) >= (1 if len(waiting) >= QUEUE_SIZE else USER_QUEUE_SIZE)
            assert refused.of_user == (len(of_user) >= USER_QUEUE_SIZE)
            assert refused.retry_after_s > 0
            return None
        assert len(waiting) < QUEUE_SIZE + MAX_LIMIT + len(USERS)
        free = sum(map(self.running_of, USERS)) < self.limit and not self.queue.paused
        may = running < (MAX_CONCURRENT[user] or self.limit) and free and not of_user
        assert entry.running == may
        self.held[entry] = user
        self.note_turns()
        return entry

    @rule(entry=consumes(entries), seconds=st.floats(0, 100))
    def leave(self, entry: QueueEntry | None, seconds: float) -> None:
        """It ends, or its client goes, whichever: the way out is one."""
        if entry is None:
            return
        self.clock.now += seconds
        self.queue.leave(entry)
        del self.held[entry]
        self.overtaken.pop(entry, None)
        self.note_turns()

    @rule(entry=entries)
    def leave_twice(self, entry: QueueEntry | None) -> None:
        """What has left holds nothing that a second call could give back."""
        if entry is not None and entry not in self.held:
            self.queue.leave(entry)
            self.queue.give_up_turn(entry)

    @rule(entry=entries)
    def find_no_engine(self, entry: QueueEntry | None) -> None:
        """It waits again, before those of its user that came later."""
        if entry is None or not entry.running:
            return
        self.queue.pause()
        self.queue.give_up_turn(entry)
        self.had_turn.discard(entry)
        assert entry.waiting
        user = self.held[entry]
        of_user = [other for other in self.held if self.held[other] == user and other.waiting]
        later = [other for other in of_user if other.number > entry.number]
        assert all(self.queue.ahead(other) > self.queue.ahead(entry) for other in later)
        self.overtaken.clear()

    @rule()
    def pause(self) -> None:
        self.queue.pause()

    @rule()
    def resume(self) -> None:
        self.queue.resume()
        self.note_turns()

    def running_of(self, user: int) -> int:
        return sum(entry.running for entry, owner in self.held.items() if owner == user)

    def note_turns(self) -> None:
        """Who has got a turn since the last step, and whom that passed by."""
        got = [entry for entry in self.held if entry.running and entry not in self.had_turn]
        assert not got or self.queue.running <= self.limit, "a turn without a slot"
        for entry in sorted(got, key=lambda entry: entry.start_tag):
            self.had_turn.add(entry)
            of_user = [p for p in self.held if self.held[p] == self.held[entry] and p.waiting]
            assert all(entry.number < other.number for other in of_user), "not first come, first served"
            self.overtaken.pop(entry, None)
            for other in self.overtaken.values():
                other[self.held[entry]] += 1
        for user in USERS:
            waiting = [p for p in self.held if self.held[p] == user and p.waiting]
            # One that its user's of_user max_concurrent holds back does not wait for others.
            if waiting and self.running_of(user) < (MAX_CONCURRENT[user] or self.limit):
                self.overtaken.setdefault(waiting[0], Counter())
            for entry in waiting:
                if self.running_of(user) >= (MAX_CONCURRENT[user] or self.limit):
                    self.overtaken.pop(entry, None)

    @rule(limit=st.integers(1, MAX_LIMIT))
    def resize(self, limit: int) -> None:
        """The engine has another number of slots; whoever has a turn keeps it."""
        running = self.queue.running
        self.limit = limit
        self.queue.limit = limit
        if not self.queue.paused:
            self.queue.resume()
        assert self.queue.running == running or running < self.queue.running <= limit
        self.note_turns()

    @invariant()
    def no_slot_leaks(self) -> None:
        """The queue's counts are those of the requests that are really there."""
        assert self.queue.running == sum(entry.running for entry in self.held)
        assert self.queue.waiting == sum(entry.waiting for entry in self.held)
        assert self.queue.running <= MAX_LIMIT
        for user in USERS:
            assert self.running_of(user) <= (MAX_CONCURRENT[user] or MAX_LIMIT)
            waiting = [p for p in self.held if self.held[p] == user and p.waiting]
            assert len(waiting) <= USER_QUEUE_SIZE + MAX_LIMIT
        assert all(entry.running != entry.waiting for entry in self.held)

    @invariant()
    def no_slot_stays_free_while_somebody_could_have_it(self) -> None:
        if self.queue.paused or self.queue.running >= self.limit:
            return
        for entry, user in self.held.items():
            if entry.waiting:
                assert self.running_of(user) >= (MAX_CONCURRENT[user] or self.limit)

    @invariant()
    def nobody_starves(self) -> None:
        """Before the first waiting request of weight v, one of weight w has floor(w / v) + 1 turns."""
        for entry, turns in self.overtaken.items():
            weight = WEIGHTS[self.held[entry]]
            for user, count in turns.items():
                if user != self.held[entry]:
                    assert count <= floor(WEIGHTS[user] / weight + 1e-9) + 1

    def teardown(self) -> None:
        """When all have left, everything is free again."""
        self.queue.limit = 2
        self.queue.resume()
        for entry in list(self.held):
            self.queue.leave(entry)
        assert (self.queue.running, self.queue.waiting) == (0, 0)
        assert all(self.queue.enter(user).running for user in (0, 3))


TestFairQueue = FairQueueMachine.TestCase
TestFairQueue.settings = settings(max_examples=400, stateful_step_count=60)


def fair_queue(limit: int = 1, **sizes: int) -> FairQueue:
    values = {"queue_size": 256, "user_queue_size": 64} | sizes
    return FairQueue(limit=limit, clock=Clock(), **values)


def served(queue: FairQueue, entries: dict[QueueEntry, str]) -> str:
    """The order in which they get their turns, each ending at once."""
    order = ""
    while running := [entry for entry in entries if entry.running]:
        for entry in running:
            order += entries.pop(entry)
            queue.leave(entry)
    return order


def test_a_light_user_goes_before_a_heavy_one_s_queue() -> None:
    """One runs, 32 wait; the one request of another user is next."""
    queue = fair_queue()
    entries = {queue.enter(1): "a" for _ in range(33)}
    entries[queue.enter(2)] = "B"
    assert served(queue, entries) == "aB" + "a" * 32


def test_users_who_fill_the_queue_together_shut_out_nobody() -> None:
    """Everybody else may have one request waiting, which is next; more than that are refused."""
    queue = fair_queue(queue_size=4, user_queue_size=2)
    entries = {queue.enter(user): "a" for user in (1, 2) for _ in range(2)}
    entries |= {queue.enter(1): "a", queue.enter(3): "B"}
    with pytest.raises(QueueFullError) as refused:
        queue.enter(3)
    assert (refused.value.of_user, refused.value.waiting) == (False, 5)
    assert served(queue, entries) == "aaBaaa"


def test_where_nothing_may_wait_nothing_does() -> None:
    """LLAMA_PROXY_QUEUE_SIZE=0: a request without a free slot is refused."""
    queue = fair_queue(queue_size=0)
    assert queue.enter(1).running
    with pytest.raises(QueueFullError):
        queue.enter(2)


def test_turns_go_round() -> None:
    """Three users with lines of their of_user take turns."""
    queue = fair_queue()
    entries = {queue.enter(user): "abc"[user] for user in (0, 1, 2) for _ in range(3)}
    assert served(queue, entries) == "abcabcabc"


def test_a_weight_of_four_is_four_turns_in_a_round() -> None:
    """Beside a user of weight 1."""
    queue = fair_queue()
    entries = {queue.enter(0, weight=1.0): "a" for _ in range(3)}
    entries |= {queue.enter(1, weight=4.0): "b" for _ in range(8)}
    assert served(queue, entries) == "abbbbabbbba"


def test_many_users_leave_nothing_behind() -> None:
    """Memory does not grow with the users ever seen, busy or not."""
    queue = fair_queue()
    for user in range(10_000):
        queue.leave(queue.enter(user))
    assert len(queue._users) <= 200
    held = queue.enter(-1)
    for user in range(10_000):
        entry = queue.enter(user)
        queue.leave(held)
        held = entry
    assert len(queue._users) <= 10_000 + 200
    queue.leave(held)
    for user in range(20_000, 40_000):
        queue.leave(queue.enter(user))
    assert len(queue._users) <= 20_000


def test_the_wait_it_tells_is_that_of_recent_requests() -> None:
    """Ten that took 2 s each: with three in front, the fourth waits about 8 s."""
    clock = Clock()
    queue = FairQueue(limit=1, queue_size=9, user_queue_size=9, clock=clock)
    for _ in range(30):
        entry = queue.enter(1)
        clock.now += 2.0
        queue.leave(entry)
    for _ in range(4):
        queue.enter(1)
    assert abs(queue.wait_s(1) - 8.0) < 0.1
    assert abs(queue.wait_s(2) - 4.0) < 0.1


def test_a_limit_raised_while_requests_wait_holds_from_the_next_one_on() -> None:
    """Those in front go first."""
    queue = fair_queue(limit=3)
    entries = [queue.enter(1, max_concurrent=1) for _ in range(3)]
    assert [entry.running for entry in entries] == [True, False, False]
    last = queue.enter(1, max_concurrent=3)
    assert [entry.running for entry in [*entries, last]] == [True, True, True, False]


def test_a_limit_lowered_while_requests_wait_holds_for_them_too() -> None:
    """They have been offered a turn, and it is taken back."""
    queue = fair_queue(limit=2)
    first, second = queue.enter(0), queue.enter(1)
    waiting = [queue.enter(1) for _ in range(2)]
    queue.enter(1, max_concurrent=1)
    queue.leave(first)
    assert not any(entry.running for entry in waiting)
    queue.leave(second)
    assert [entry.running for entry in waiting] == [True, False]


def test_one_who_has_had_a_turn_is_not_forgotten_before_the_round_is_over() -> None:
    """Not even where so many come that the queue clears up: the next turn is the others'."""
    queue = fair_queue()
    first, entries = queue.enter(0), {queue.enter(0): "a"}
    second = queue.enter(1)
    queue.leave(first)
    assert second.running
    entries |= {queue.enter(user): "." for user in range(2, 40)}
    queue.leave(second)
    entries |= {queue.enter(user): "." for user in range(40, 200)}
    entries[queue.enter(1)] = "b"
    assert served(queue, entries).replace(".", "") == "ab"


def test_the_order_that_it_tells_is_that_of_the_turns() -> None:
    """If no more come and none leaves: with weights, and a user who may have one turn at a time."""
    queue = FairQueue(limit=2, queue_size=64, user_queue_size=64, clock=Clock())
    running = [queue.enter(9) for _ in range(2)]
    for number in range(12):
        queue.enter(number % 3, weight=(1.0, 2.0, 0.5)[number % 3])
    told = queue.order()
    assert len(told) == queue.waiting == 12
    turns: list[QueueEntry] = []
    while queue.running:
        queue.leave(running.pop(0))
        new = [entry for entry in told if entry.running and entry not in turns]
        turns += new
        running += new
    assert turns == told
    limited = FairQueue(limit=1, queue_size=64, user_queue_size=64, clock=Clock())
    limited.enter(1, max_concurrent=1)
    entries = [limited.enter(1, max_concurrent=1), limited.enter(2)]
    assert limited.order() == entries[::-1], "the first user's turn has to end before"
