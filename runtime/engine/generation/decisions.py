"""What the scheduler decides, as pure functions over plain data: no model, no clock, no state.

- `admit`: who gets a free slot. The user with the fewest responses under way (by weight) is first, among
  those who came first; being passed over counts, so that everybody's time comes.
- `choose_place`: which slot, and from where the known beginning of its prompt comes.
- `prompt_budget`: how many prompt tokens a step may read, so that nobody's stream pauses for long.
- `deal`: whose prompt tokens they are. Users are served by turns (by weight), a user's shortest prompt
  first; having waited counts as being shorter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

MIN_REUSE = 64
"""Tokens. Evaluating fewer than this anew is as cheap as copying them."""
QUANTUM = 128
"""Tokens of prompts that a user is dealt in one turn: shorter prompts are read whole in it."""
PASSED_OVER = 16
"""Having been passed over so often is worth one response under way less."""
STEP_S = 0.25
"""While others generate, a step with prompt tokens takes no longer, about; as many times longer as there
are more who read than who generate."""
LONGEST_STEP_S = 0.5
"""Nor longer than this in any case: a newcomer, or one who leaves, waits for the step's end."""
_STEP_FACTOR = 3
"""Nor more than so many times a step without prompt tokens, with the same exception."""
_SHORT_STEP_S = 0.05
"""Shorter than this need no step be."""
_MIN_BUDGET = 16
_FIRST_BUDGET = 64
"""Tokens of the first prompt: nothing is known of their cost."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A request that waits for a slot."""

    key: int
    tag: str = ""
    weight: float = 1.0
    passed_over: int = 0
    """So many requests of other users have been admitted since it came."""
    is_further: bool = False
    """Whether another response to the same request is under way, or waits ahead of it."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A sequence whose prompt is not evaluated yet."""

    key: int
    tag: str = ""
    weight: float = 1.0
    remaining: int
    """Tokens, at least 1."""
    waited: int = 0
    """Steps since it was last dealt any."""


@dataclass(frozen=True, kw_only=True)
class SlotView:
    """What `choose_place` has to know of a slot."""

    key: int
    is_free: bool
    n_held: int = 0
    """Tokens in it."""
    n_reusable: int = 0
    """How many of them the new prompt begins with, and may use."""
    is_foreign: bool = False
    """Whether another user's tokens are in it."""
    used_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a new sequence goes."""

    slot: int
    source: int | None = None
    """The slot whose tokens it begins with, `slot` itself for those that are there; None: see below."""
    from_saved: bool = False
    """Whether it begins with a saved state."""


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """What steps have taken lately, in seconds; 0 where nothing is known."""

    decode_s: float = 0.0
    """A step without prompt tokens."""
    prompt_token_s: float = 0.0
    """Each prompt token beside that."""

    def observed(self, *, n_decoding: int, n_prompt: int, seconds: float) -> StepCost:
        """With one more step taken into account."""
        if n_prompt == 0:
            return replace(self, decode_s=_smoothed(self.decode_s, seconds))
        rest = seconds - (self.decode_s if n_decoding else 0.0)
        if n_prompt < _MIN_BUDGET or rest <= 0:
            return self
        return replace(self, prompt_token_s=_smoothed(self.prompt_token_s, rest / n_prompt))


def _smoothed(old: float, new: float) -> float:
    return new if old == 0 else 0.7 * old + 0.3 * new


def admit(waiting: Sequence[Waiting], running: Mapping[str, int], n_free: int) -> list[int]:
    """The keys of those who get a slot now.

    The last free slot is kept for other requests than those that have one: to the proxy's fair queue a
    request is one turn, however many responses it asks for. Who has been passed over often gets it.

    Args:
        waiting: in the order in which they came.
        running: responses under way, by tag.
        n_free: slots.
    """
    counts, left = dict(running), list(waiting)
    admitted: list[int] = []

    def passed_over(request: Waiting) -> int:
        of_user = counts.get(request.tag, 0) - running.get(request.tag, 0)
        return request.passed_over + len(admitted) - of_user

    def urgency(request: Waiting) -> float:
        return counts.get(request.tag, 0) / request.weight - passed_over(request) / PASSED_OVER

    while len(admitted) < n_free:
        is_last = len(admitted) == n_free - 1
        eligible = [
            request
            for request in left
            if not (is_last and request.is_further) or passed_over(request) >= PASSED_OVER
        ]
        if not eligible:
            break
        chosen = min(eligible, key=urgency)
        left.remove(chosen)
        admitted.append(chosen.key)
        counts[chosen.tag] = counts.get(chosen.tag, 0) + 1
    return admitted


def choose_place(slots: Sequence[SlotView], n_saved: int) -> Place:
    """Where a new sequence goes; one slot at least is free.

    llama.cpp computes sequences with consecutive ids together, so the free slot that leaves the fewest
    gaps is taken, and what the prompt begins with is copied there.

    Args:
        slots: all of them.
        n_saved: how many of the prompt's tokens the best saved state has.
    """
    taken = {slot.key for slot in slots if not slot.is_free}
    free = sorted(
        (slot for slot in slots if slot.is_free),
        key=lambda slot: (n_runs({*taken, slot.key}), slot.n_held > 0, slot.used_at, slot.key),
    )
    target = free[0]
    best = max(slots, key=lambda slot: (slot.n_reusable, slot.is_free, -slot.key))
    if n_saved >= max(best.n_reusable + MIN_REUSE, MIN_REUSE):
        return Place(slot=target.key, from_saved=True)
    is_adjacent = n_runs({*taken, best.key}) <= n_runs({*taken, target.key})
    loses_little = best.n_held - best.n_reusable < MIN_REUSE
    if best.n_reusable < MIN_REUSE:
        goes_on = best.is_free and is_adjacent and loses_little and not best.is_foreign
        slot = best.key if goes_on else target.key
        return Place(slot=slot, source=slot)
    if best.is_free and ((is_adjacent and not best.is_foreign) or len(free) == 1):
        return Place(slot=best.key, source=best.key)
    if target is best:
        target = free[1] if len(free) > 1 else target
    return Place(slot=target.key, source=best.key)


def n_runs(keys: Collection[int]) -> int:
    """How many runs of consecutive numbers there are."""
    return sum(key - 1 not in keys for key in set(keys))


def moved_into_gap(running: Collection[int], free: Collection[int]) -> tuple[int, int] | None:
    """The sequence to move, and the free slot that it moves to, until there is no gap; None if none."""
    if n_runs(running) < 2:
        return None
    gaps = [key for key in free if min(running) < key < max(running)]
    return max(running), min(gaps)


def prompt_budget(cost: StepCost, *, n_decoding: int, n_reading: int, n_batch: int) -> int:
    """How many prompt tokens the next step may read.

    Args:
        cost: of steps.
        n_decoding: responses that grow, each by a token of the same step.
        n_reading: sequences whose prompts are read.
        n_batch: tokens that a step may have.
    """
    room = n_batch - n_decoding
    if cost.prompt_token_s == 0:
        return min(room, _FIRST_BUDGET)
    step_s = LONGEST_STEP_S
    if n_decoding:
        usual_s = min(max(_STEP_FACTOR * cost.decode_s, _SHORT_STEP_S), STEP_S)
        step_s = min(usual_s * (1 + n_reading / n_decoding), LONGEST_STEP_S) - cost.decode_s
    wanted = max(step_s, 0.0) / cost.prompt_token_s
    return min(room, max(_MIN_BUDGET, int(min(wanted, room))))


def drafts_allowed(cost: StepCost, *, n_decoding: int, n_batch: int) -> int:
    """How many tokens may be guessed for each of `n_decoding` responses.

    A guess costs what a prompt token does and spares its response a step, of which the others bear a
    part: it pays where that is dearer, if half of the guesses come true.
    """
    if cost.prompt_token_s * 2 * n_decoding > cost.decode_s > 0:
        return 0
    return max(0, (n_batch - n_decoding) // (2 * n_decoding))


def deal(readers: Sequence[Reader], served: Mapping[str, float], budget: int) -> dict[int, int]:
    """How many prompt tokens each reader is dealt, by key; those without any are left out.

    Args:
        readers: all who read.
        served: what each tag has been dealt, divided by its weight (see `serve`).
        budget: tokens, of all together.
    """
    ahead = {reader.tag: served.get(reader.tag, 0.0) for reader in readers}
    remaining = {reader.key: reader.remaining for reader in readers}
    dealt: dict[int, int] = {}
    left = budget
    while left > 0 and (hungry := [reader for reader in readers if remaining[reader.key]]):
        chosen = min(
            hungry,
            key=lambda reader: (
                int(ahead[reader.tag] / QUANTUM),
                remaining[reader.key] - reader.waited * QUANTUM,
                reader.key,
            ),
        )
        given = min(QUANTUM, remaining[chosen.key], left)
        remaining[chosen.key] -= given
        left -= given
        ahead[chosen.tag] += given / chosen.weight
        dealt[chosen.key] = dealt.get(chosen.key, 0) + given
    return dealt


def serve(
    readers: Sequence[Reader], served: Mapping[str, float], dealt: Mapping[int, int]
) -> dict[str, float]:
    """`served` after a deal, for the tags that read. One that has just begun to read starts level with
    the one that has got least: not having asked earns nothing.
    """
    known = [served[reader.tag] for reader in readers if reader.tag in served]
    level = min(known, default=0.0)
    after = {reader.tag: served.get(reader.tag, level) - level for reader in readers}
    for reader in readers:
        after[reader.tag] += dealt.get(reader.key, 0) / reader.weight
    return after
