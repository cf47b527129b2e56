"""How several proxies share an engine's slots: no database, no clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.scheduling.shares import Lease, decide, shares


def test_slots_go_to_those_that_need_them_and_the_rest_to_all() -> None:
    """What one proxy does not need another one gets; idle slots are at hand everywhere."""
    assert shares(8, {"a": 0, "b": 0}, rotation=0) == {"a": 4, "b": 4}
    assert shares(8, {"a": 20, "b": 20}, rotation=0) == {"a": 4, "b": 4}
    assert shares(8, {"a": 20, "b": 1}, rotation=0) == {"a": 7, "b": 1}
    assert shares(8, {"a": 3, "b": 1}, rotation=0) == {"a": 5, "b": 3}
    assert shares(7, {"a": 9, "b": 9, "c": 2}, rotation=0) == {"a": 3, "b": 2, "c": 2}


def test_a_slot_that_cannot_be_divided_goes_round() -> None:
    """One slot and two proxies that both want it: each has it every other time."""
    assert shares(1, {"a": 5, "b": 5}, rotation=0) == {"a": 1, "b": 0}
    assert shares(1, {"a": 5, "b": 5}, rotation=1) == {"a": 0, "b": 1}
    assert shares(1, {"a": 0, "b": 5}, rotation=0) == {"a": 0, "b": 1}


def test_what_another_proxy_holds_is_never_taken() -> None:
    """Its part is given over when it renews; until then this one has what is free."""
    decision = decide(8, {"b": Lease(8, 8)}, "a", busy=0, demand=9, rotation=0)
    assert decision == (0, 0)
    decision = decide(8, {"a": Lease(0, 9)}, "b", busy=8, demand=8, rotation=0)
    assert decision == (4, 8)
    decision = decide(8, {"b": Lease(4, 8)}, "a", busy=0, demand=9, rotation=0)
    assert decision == (4, 4)


@given(st.data())
def test_never_more_than_the_slots_are_held_and_all_are_used_in_the_end(data: st.DataObject) -> None:
    """Whatever the order in which proxies renew, begin and end requests."""
    slots = data.draw(st.integers(1, 6))
    names = ["a", "b", "c"][: data.draw(st.integers(1, 3))]
    leases = dict.fromkeys(names, Lease(0, 0))
    usable, busy = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def renew(name: str, demand: int, rotation: int) -> None:
        others = {other: lease for other, lease in leases.items() if other != name}
        decision = decide(
            slots, others, name, busy=busy[name], demand=busy[name] + demand, rotation=rotation
        )
        usable[name] = decision.usable
        leases[name] = Lease(decision.held, busy[name] + demand)
        assert sum(lease.slots for lease in leases.values()) <= slots

    for _ in range(data.draw(st.integers(0, 30))):
        name = data.draw(st.sampled_from(names))
        action = data.draw(st.sampled_from(["renew", "begin", "end"]))
        if action == "renew":
            renew(name, data.draw(st.integers(0, 9)), data.draw(st.integers(0, 3)))
        elif action == "begin" and busy[name] < usable[name]:
            busy[name] += 1
        elif action == "end" and busy[name]:
            busy[name] -= 1
        assert sum(busy.values()) <= slots
    busy.update(dict.fromkeys(names, 0))
    for _ in range(3):
        for name in names:
            renew(name, 9, 0)
    assert sum(usable.values()) == slots
