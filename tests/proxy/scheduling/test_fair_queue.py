"""The gate: every step of it against what it promises."""

from __future__ import annotations

from collections import Counter
from math import floor

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from proxy.scheduling.fair_queue import FairQueue, QueueEntry, QueueFullError

USERS = range(5)
QUEUE_SIZE, USER_QUEUE_SIZE = 12, 5
WEIGHTS = {0: 1.0, 1: 1.0, 2: 3.0, 3: 0.5, 4: 10.0}
MAX_CONCURRENT = {0: None, 1: 1, 2: 2, 3: None, 4: None}


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class GateMachine(RuleBasedStateMachine):
    """Requests come, end, leave while they wait, find no engine, in any order.

    Beside the gate it keeps a plain list of what has come and what has become of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.limit = 2
        self.gate = FairQueue(
            limit=self.limit,
            queue_size=QUEUE_SIZE,
            user_queue_size=USER_QUEUE_SIZE,
            clock=self.clock,
        )
        self.held: dict[QueueEntry, int] = {}
        """What has entered and not left: place and user, in order of arrival."""
        self.overtaken: dict[QueueEntry, Counter[int]] = {}
        """For each that stands first in its user's line: the turns that others had meanwhile."""
        self.had_turn: set[QueueEntry] = set()

    places = Bundle("places")

    @rule(target=places, user=st.sampled_from(USERS))
    def enter(self, user: int) -> QueueEntry | None:
        waiting = [place for place in self.held if place.waiting]
        own = [place for place in waiting if self.held[place] == user]
        running = self.running_of(user)
        refused = None
        try:
            place = self.gate.enter(user, weight=WEIGHTS[user], max_concurrent=MAX_CONCURRENT[user])
        except QueueFullError as error:
            refused = error
        if refused is not None:
            assert len(waiting) >= QUEUE_SIZE or len(own) >= USER_QUEUE_SIZE
            assert refused.of_user == (len(own) >= USER_QUEUE_SIZE)
            assert refused.retry_after_s > 0
            return None
        assert len(waiting) < QUEUE_SIZE + self.limit
        free = sum(map(self.running_of, USERS)) < self.limit and not self.gate.paused
        may = running < (MAX_CONCURRENT[user] or self.limit) and free and not own
        assert place.running == may
        self.held[place] = user
        self.note_turns()
        return place

    @rule(place=consumes(places), seconds=st.floats(0, 100))
    def leave(self, place: QueueEntry | None, seconds: float) -> None:
        """It ends, or its client goes, whichever: the way out is one."""
        if place is None:
            return
        self.clock.now += seconds
        self.gate.leave(place)
        del self.held[place]
        self.overtaken.pop(place, None)
        self.note_turns()

    @rule(place=places)
    def leave_twice(self, place: QueueEntry | None) -> None:
        """What has left holds nothing that a second call could give back."""
        if place is not None and place not in self.held:
            self.gate.leave(place)
            self.gate.give_up_turn(place)

    @rule(place=places)
    def find_no_engine(self, place: QueueEntry | None) -> None:
        """It waits again, before those of its user that came later."""
        if place is None or not place.running:
            return
        self.gate.pause()
        self.gate.give_up_turn(place)
        self.had_turn.discard(place)
        assert place.waiting
        user = self.held[place]
        own = [other for other in self.held if self.held[other] == user and other.waiting]
        later = [other for other in own if other.number > place.number]
        assert all(self.gate.ahead(other) > self.gate.ahead(place) for other in later)
        self.overtaken.clear()

    @rule()
    def pause(self) -> None:
        self.gate.pause()

    @rule()
    def resume(self) -> None:
        self.gate.resume()
        self.note_turns()

    def running_of(self, user: int) -> int:
        return sum(place.running for place, owner in self.held.items() if owner == user)

    def note_turns(self) -> None:
        """Who has got a turn since the last step, and whom that passed by."""
        got = [place for place in self.held if place.running and place not in self.had_turn]
        for place in sorted(got, key=lambda place: place.start_tag):
            self.had_turn.add(place)
            own = [p for p in self.held if self.held[p] == self.held[place] and p.waiting]
            assert all(place.number < other.number for other in own), "not first come, first served"
            self.overtaken.pop(place, None)
            for other in self.overtaken.values():
                other[self.held[place]] += 1
        for user in USERS:
            line = [p for p in self.held if self.held[p] == user and p.waiting]
            # One that its user's own max_concurrent holds back does not wait for others.
            if line and self.running_of(user) < (MAX_CONCURRENT[user] or self.limit):
                self.overtaken.setdefault(line[0], Counter())
            for place in line:
                if self.running_of(user) >= (MAX_CONCURRENT[user] or self.limit):
                    self.overtaken.pop(place, None)

    @invariant()
    def no_slot_leaks(self) -> None:
        """The gate's counts are those of the requests that are really there."""
        assert self.gate.running == sum(place.running for place in self.held)
        assert self.gate.waiting == sum(place.waiting for place in self.held)
        assert self.gate.running <= self.limit
        for user in USERS:
            assert self.running_of(user) <= (MAX_CONCURRENT[user] or self.limit)
            line = [p for p in self.held if self.held[p] == user and p.waiting]
            assert len(line) <= USER_QUEUE_SIZE + self.limit
        assert all(place.running != place.waiting for place in self.held)

    @invariant()
    def no_slot_stays_free_while_somebody_could_have_it(self) -> None:
        if self.gate.paused or self.gate.running == self.limit:
            return
        for place, user in self.held.items():
            if place.waiting:
                assert self.running_of(user) >= (MAX_CONCURRENT[user] or self.limit)

    @invariant()
    def nobody_starves(self) -> None:
        """Before the first in a line, each other user of weight w has floor(w/own) + 1 turns at most."""
        for place, turns in self.overtaken.items():
            own = WEIGHTS[self.held[place]]
            for user, count in turns.items():
                if user != self.held[place]:
                    assert count <= floor(WEIGHTS[user] / own + 1e-9) + 1

    def teardown(self) -> None:
        """When all have left, everything is free again."""
        self.gate.resume()
        for place in list(self.held):
            self.gate.leave(place)
        assert (self.gate.running, self.gate.waiting) == (0, 0)
        assert all(self.gate.enter(user).running for user in (0, 3))


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(max_examples=400, stateful_step_count=60, deadline=None)


def gate(limit: int = 1, **sizes: int) -> FairQueue:
    values = {"queue_size": 256, "user_queue_size": 64} | sizes
    return FairQueue(limit=limit, clock=Clock(), **values)


def served(gate: FairQueue, places: dict[QueueEntry, str]) -> str:
    """The order in which they get their turns, each ending at once."""
    order = ""
    while running := [place for place in places if place.running]:
        for place in running:
            order += places.pop(place)
            gate.leave(place)
    return order


def test_a_light_user_goes_before_a_heavy_one_s_queue() -> None:
    """One runs, 32 wait; the one request of another user is next."""
    door = gate()
    places = {door.enter(1): "a" for _ in range(33)}
    places[door.enter(2)] = "B"
    assert served(door, places) == "aB" + "a" * 32


def test_turns_go_round() -> None:
    """Three users with lines of their own take turns."""
    door = gate()
    places = {door.enter(user): "abc"[user] for user in (0, 1, 2) for _ in range(3)}
    assert served(door, places) == "abcabcabc"


def test_a_weight_of_four_is_four_turns_in_a_round() -> None:
    """Beside a user of weight 1."""
    door = gate()
    places = {door.enter(0, weight=1.0): "a" for _ in range(3)}
    places |= {door.enter(1, weight=4.0): "b" for _ in range(8)}
    assert served(door, places) == "abbbbabbbba"


def test_many_users_leave_nothing_behind() -> None:
    """Memory does not grow with the users ever seen, busy or not."""
    door = gate()
    for user in range(10_000):
        door.leave(door.enter(user))
    assert len(door._users) <= 200
    held = door.enter(-1)
    for user in range(10_000):
        place = door.enter(user)
        door.leave(held)
        held = place
    assert len(door._users) <= 10_000 + 200
    door.leave(held)
    for user in range(20_000, 40_000):
        door.leave(door.enter(user))
    assert len(door._users) <= 20_000


def test_the_wait_it_tells_is_that_of_recent_requests() -> None:
    """Ten that took 2 s each: with three in front, the fourth waits about 8 s."""
    clock = Clock()
    door = FairQueue(limit=1, queue_size=9, user_queue_size=9, clock=clock)
    for _ in range(30):
        place = door.enter(1)
        clock.now += 2.0
        door.leave(place)
    for _ in range(4):
        door.enter(1)
    assert abs(door.wait_s(1) - 8.0) < 0.1
    assert abs(door.wait_s(2) - 4.0) < 0.1


def test_a_limit_raised_while_requests_wait_holds_from_the_next_one_on() -> None:
    """Those in front go first."""
    door = gate(limit=3)
    places = [door.enter(1, max_concurrent=1) for _ in range(3)]
    assert [place.running for place in places] == [True, False, False]
    last = door.enter(1, max_concurrent=3)
    assert [place.running for place in [*places, last]] == [True, True, True, False]


def test_a_limit_lowered_while_requests_wait_holds_for_them_too() -> None:
    """They have been offered a turn, and it is taken back."""
    door = gate(limit=2)
    first, second = door.enter(0), door.enter(1)
    waiting = [door.enter(1) for _ in range(2)]
    door.enter(1, max_concurrent=1)
    door.leave(first)
    assert not any(place.running for place in waiting)
    door.leave(second)
    assert [place.running for place in waiting] == [True, False]


def test_one_who_has_had_a_turn_is_not_forgotten_before_the_round_is_over() -> None:
    """Not even where so many come that the gate clears up: the next turn is the others'."""
    door = gate()
    first, places = door.enter(0), {door.enter(0): "a"}
    second = door.enter(1)
    door.leave(first)
    assert second.running
    places |= {door.enter(user): "." for user in range(2, 40)}
    door.leave(second)
    places |= {door.enter(user): "." for user in range(40, 200)}
    places[door.enter(1)] = "b"
    assert served(door, places).replace(".", "") == "ab"
