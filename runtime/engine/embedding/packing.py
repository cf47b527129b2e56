"""Chooses which inputs share the next batch: pure functions of plain data.

Users get turns by the tokens that they have been served, divided by their weight; within a user, the
requests get turns. An input that does not fit into the rest of a batch waits for the next one, which it
then is among the first of, so none waits for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A user with inputs that wait."""

    tag: str
    weight: float = 1.0
    lengths: Sequence[int]
    """Tokens of the next inputs, in the order in which they are to be taken; at least one."""


def choose(
    users: Sequence[Waiting], served: Mapping[str, float], *, n_tokens: int, n_inputs: int
) -> list[str]:
    """The tags of the users whose next inputs make up a batch, one for each input.

    Args:
        users: those who wait.
        served: tokens by weight that each has had so far, see `settled`.
        n_tokens: the most of a batch; a longer input is a batch of its own.
        n_inputs: the most of a batch.
    """
    had = settled(users, served)
    taken = {user.tag: 0 for user in users}
    chosen: list[str] = []
    room = n_tokens
    open_users = list(users)
    while open_users and len(chosen) < n_inputs:
        user = min(open_users, key=lambda one: had[one.tag])
        length = user.lengths[taken[user.tag]]
        if length > room and chosen:
            open_users.remove(user)
            continue
        chosen.append(user.tag)
        room -= length
        had[user.tag] += length / user.weight
        taken[user.tag] += 1
        if taken[user.tag] == len(user.lengths):
            open_users.remove(user)
    return chosen


def settled(users: Sequence[Waiting], served: Mapping[str, float]) -> dict[str, float]:
    """What each user who waits has been served. One that is new begins with the least of the others."""
    known = [served[user.tag] for user in users if user.tag in served]
    least = min(known, default=0.0)
    return {user.tag: max(served.get(user.tag, least), least) for user in users}


def serve(
    users: Sequence[Waiting], served: Mapping[str, float], chosen: Sequence[str]
) -> dict[str, float]:
    """What each user who waits has been served after a batch of `chosen`."""
    after = settled(users, served)
    by_tag = {user.tag: user for user in users}
    taken = {user.tag: 0 for user in users}
    for tag in chosen:
        user = by_tag[tag]
        after[tag] += user.lengths[taken[tag]] / user.weight
        taken[tag] += 1
    return after
