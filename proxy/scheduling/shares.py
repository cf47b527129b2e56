"""How several proxies share the slots of one engine: pure functions on what each of them could use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Lease(NamedTuple):
    """One proxy's part of an engine."""

    slots: int
    """How many slots it holds."""
    demand: int
    """How many it could use: requests that run there, and its part of those that wait."""


class Decision(NamedTuple):
    """What a proxy does from now on."""

    usable: int
    """It gives turns up to here."""
    held: int
    """This many slots are its own: those usable, or more while requests still run on them."""


def shares(slots: int, demands: Mapping[str, int], *, rotation: int) -> dict[str, int]:
    """The slots for each proxy: max-min fair by demand, and what nobody needs in equal parts.

    Slots that cannot be divided go to other proxies with each `rotation`, if they are wanted. Idle ones
    are divided too, so that a request that comes finds one at its proxy.
    """
    names = sorted(demands)
    given = dict.fromkeys(names, 0)
    turn = rotation % len(names) if names else 0
    hungry = [name for name in names[turn:] + names[:turn] if demands[name]]
    left = slots
    while hungry and left:
        part = max(left // len(hungry), 1)
        for name in hungry:
            more = min(part, demands[name] - given[name], left)
            given[name] += more
            left -= more
        hungry = [name for name in hungry if given[name] < demands[name]]
    for place, name in enumerate(names):
        given[name] += left // len(names) + (place < left % len(names))
    return given


def decide(slots: int, others: Mapping[str, Lease], own: str, *, busy: int, demand: int,
           rotation: int) -> Decision:  # fmt: skip
    """What a proxy may use of an engine with so many slots, `busy` of which its requests occupy.

    It never takes what another one holds: that one gives it back when it renews its own lease.
    """
    demands = {name: lease.demand for name, lease in others.items()} | {own: max(demand, busy)}
    share = shares(slots, demands, rotation=rotation)[own]
    free = max(slots - sum(lease.slots for lease in others.values()), 0)
    usable = min(share, free)
    return Decision(usable=usable, held=max(usable, busy))
