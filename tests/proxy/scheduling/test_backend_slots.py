"""The choice among several backends, and how many turns their slots allow: no network, no clock."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from proxy.scheduling.backend_slots import Offers, choose
from proxy.scheduling.backend_state import common_model
from proxy.scheduling.fair_queue import FairQueue, QueueEntry
from proxy.scheduling.turns import Turns
from proxy.settings import BackendSettings
from proxy.upstream.readiness import EngineStatus
from tests.support.proxy import settings_for


def queue(backends: list[int]) -> tuple[FairQueue, Offers]:
    """A queue in front of backends with so many slots."""
    fair = FairQueue(limit=1, queue_size=1000, user_queue_size=1000, clock=lambda: 0.0)
    offers = Offers(fair, len(backends))
    offers.set_limits(backends)
    return fair, offers


def begin(fair: FairQueue, offers: Offers, user: int = 1, preferred: int | None = None) -> QueueEntry:
    """A request that gets its turn at once."""
    entry = fair.enter(user)
    assert entry.running
    assert offers.assign(entry, preferred) is not None
    return entry


def busy(offers: Offers) -> list[int]:
    return [slots.busy for slots in offers.slots]


def test_the_backend_with_most_free_slots_is_chosen_and_equal_ones_in_turn() -> None:
    """Four and two slots: the first two go to the larger one, then both share."""
    fair, offers = queue([4, 2])
    assert [begin(fair, offers).backend for _ in range(6)] == [0, 0, 1, 0, 1, 0]
    assert not fair.enter(1).running
    fair, offers = queue([3, 3, 3])
    assert [begin(fair, offers).backend for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_the_preferred_backend_is_used_only_if_it_has_a_free_slot() -> None:
    """A conversation never waits for its backend while another one is free."""
    fair, offers = queue([1, 3])
    assert begin(fair, offers, preferred=0).backend == 0
    assert begin(fair, offers, preferred=0).backend == 1


def test_a_turn_s_end_frees_the_slot_that_it_was_at() -> None:
    """And the next request goes there."""
    fair, offers = queue([1, 1])
    first, _ = begin(fair, offers), begin(fair, offers)
    waiting = fair.enter(2)
    fair.leave(first)
    fair.leave(first)
    assert waiting.running
    assert offers.assign(waiting, None) == first.backend
    assert busy(offers) == [1, 1]


def test_requests_at_a_backend_that_is_gone_take_no_turns_from_the_others() -> None:
    """Two run at the one that is drained; the other's two slots are given all the same, and no third."""
    fair, offers = queue([2, 2])
    gone = [begin(fair, offers, preferred=0) for _ in range(2)]
    offers.set_limits([0, 2])
    others = [begin(fair, offers) for _ in range(2)]
    assert [entry.backend for entry in others] == [1, 1]
    waiting = [fair.enter(2), fair.enter(3)]
    for entry in gone:
        fair.leave(entry)
    assert not any(entry.running for entry in waiting)
    fair.leave(others[0])
    assert [entry.running for entry in waiting] == [True, False]


def test_a_turn_granted_to_a_backend_that_goes_before_it_is_used_is_given_back() -> None:
    """The request keeps its place before those of its user that came later."""
    fair, offers = queue([1])
    first, second = fair.enter(1), fair.enter(1)
    offers.set_limits([0])
    assert offers.assign(first, None) is None
    fair.give_up_turn(first)
    offers.set_limits([1])
    assert (first.running, second.running) == (True, False)


def test_a_backend_without_room_gets_fewer_requests_for_a_while() -> None:
    """Its refusal leaves it what it has; each good answer to a check lets it try one more."""
    fair, offers = queue([4])
    entries = [begin(fair, offers) for _ in range(3)]
    offers.lower(offers.slots[0])
    fair.give_up_turn(entries[-1])
    assert (fair.running, offers.slots[0].limit, entries[-1].running) == (2, 2, False)
    offers.recover(0)
    assert entries[-1].running
    assert offers.assign(entries[-1], None) == 0
    offers.recover(0)
    assert (offers.slots[0].limit, offers.slots[0].lowered) == (4, None)


def act(data: st.DataObject, fair: FairQueue, offers: Offers, entries: list[QueueEntry]) -> None:
    """One of the things that happen to a queue in front of several backends."""
    count = len(offers.slots)
    action = data.draw(st.sampled_from(["enter", "leave", "limits", "give up", "lower", "recover"]))
    if action == "enter":
        entries.append(fair.enter(data.draw(st.integers(1, 3))))
    elif action == "limits":
        offers.set_limits(data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)))
    elif action == "recover":
        offers.recover(data.draw(st.integers(0, count - 1)))
    elif entries:
        entry = data.draw(st.sampled_from(entries))
        if action == "leave":
            fair.leave(entry)
            entries.remove(entry)
            return
        if action == "lower" and entry.slots is not None:
            offers.lower(entry.slots)
        fair.give_up_turn(entry)


@given(st.data())
def test_no_backend_ever_gets_more_than_its_slots_and_no_free_slot_is_left_unused(
    data: st.DataObject,
) -> None:
    """Whatever comes, ends, goes away and comes back in any order; at the end nothing is held."""
    fair, offers = queue(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)))
    entries: list[QueueEntry] = []
    for _ in range(data.draw(st.integers(0, 30))):
        before = busy(offers)
        act(data, fair, offers, entries)
        for entry in entries:
            if entry.running and entry.slots is None and offers.assign(entry, None) is None:
                fair.give_up_turn(entry)
        for slots, had in zip(offers.slots, before, strict=True):
            assert slots.busy <= max(slots.limit, had)
        assert fair.running == sum(busy(offers))
        if fair.waiting:
            assert not any(slots.busy < slots.limit for slots in offers.slots)
    for entry in entries:
        fair.leave(entry)
    assert (fair.running, fair.waiting, sum(busy(offers))) == (0, 0, 0)


def test_choosing_nothing_where_nothing_is_free() -> None:
    """None, preferred or not."""
    _, offers = queue([0, 0])
    assert choose(offers.slots, None) is None
    assert choose(offers.slots, 1) is None


def test_a_fleet_changes_its_model_when_the_last_backend_has_changed() -> None:
    """Until then those that serve the old one are used; what tells no model decides nothing."""
    assert common_model(["old", None, "old"], None) == "old"
    assert common_model(["new", "old"], "old") == "old"
    assert common_model(["new", "new"], "old") == "new"
    assert common_model([None], "old") == "old"
    assert common_model([], None) is None


def test_at_the_start_the_first_engine_of_the_list_decides_which_model_is_served() -> None:
    """Not the one that answers first: several proxies would use different ones. Later it stays."""
    backends = tuple(BackendSettings(url=f"http://{name}", key="") for name in "abc")
    settings = settings_for(database_url="", backend_url="", directory=Path(), backends=backends)
    turns = Turns(settings, clock=lambda: 0.0)

    def serves(index: int, model: str) -> list[bool]:
        watch = turns.backends[index].watch
        watch.status, watch.model = EngineStatus(ready=True, slots=1), model
        turns.backends_changed()
        watch.asked = True
        return [backend.usable for backend in turns.backends]

    assert serves(1, "new") == [False, True, False]
    assert serves(2, "new") == [False, True, True]
    assert serves(0, "old") == [True, False, False]
    assert turns.backends[1].problem == "others serve old"
    assert serves(2, "old") == [True, False, True]
    assert serves(0, "new") == [False, False, True]
    assert serves(2, "new") == [True, True, True]
