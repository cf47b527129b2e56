"""The scheduler's policies, as pure functions of plain data: no model, no clock, no state.

- `admit` chooses the requests that get a free slot. The user with the fewest running responses, divided
  by weight, goes first; equal ones go in order of arrival. Each time that a request is passed over, its
  priority rises, so that none waits for ever.
- `choose_place` chooses a slot, and the source of the part of the prompt that is evaluated already.
- `prompt_budget` limits the prompt tokens of a step, so that running streams do not pause for long.
- `deal` divides this budget. Users get turns, by weight; a user's shortest prompt goes first, and one
  that has waited counts as shorter. `with_first_tokens` makes the pieces fit llama.cpp's attention.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

MIN_REUSE = 64
"""Tokens. A shorter prefix is copied only from a short sequence: copying takes the whole of it along."""
SHORT_REUSE = 16
"""Tokens. A prefix that is shorter still is evaluated again."""
SHORT_SEQUENCE = 1024
"""Tokens. A sequence that is not longer is copied for `SHORT_REUSE` tokens."""
TILE = 64
"""Tokens of a sequence that llama.cpp's flash attention computes together on a processor (GGML_FA_TILE_Q
in ggml-cpu/common.h). Fewer are read one by one: late in a prompt 63 cost as much as 128."""
QUANTUM = 2 * TILE
"""Prompt tokens that a user gets in one turn. A shorter prompt needs one turn only."""
PASSED_OVER = 16
"""Being passed over this many times counts like having one running response less."""
STEP_S = 0.25
"""The approximate limit of a step with prompt tokens while responses are generated. It is multiplied by
1 + (prompts being read / responses being generated)."""
LONGEST_STEP_S = 0.5
"""The limit of any step: new requests, and the end of those whose client left, wait for its end."""
_STEP_FACTOR = 3
"""The limit of a step with prompt tokens, in steps without any; multiplied like STEP_S."""
_SHORT_STEP_S = 0.05
"""The limit that follows from `_STEP_FACTOR` is never below this."""
_MIN_BUDGET = 16
_FIRST_BUDGET = TILE
"""Prompt tokens of a step while their cost is unknown."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A request that waits for a slot."""

    key: int
    tag: str = ""
    weight: float = 1.0
    passed_over: int = 0
    """Number of other users' requests that were admitted while this one waited."""
    is_further: bool = False
    """Whether another response to the same request is running, or waits ahead of it."""
    is_batch: bool = False
    """Whether it is a line of a batch, which gets a slot only if nothing else needs it."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A sequence whose prompt is not evaluated yet."""

    key: int
    tag: str = ""
    weight: float = 1.0
    remaining: int
    """Prompt tokens still to be evaluated, at least 1."""
    waited: int = 0
    """Steps since it last got prompt tokens."""


@dataclass(frozen=True, kw_only=True)
class SlotView:
    """The properties of a slot that `choose_place` uses."""

    key: int
    is_free: bool
    n_held: int = 0
    """Tokens in the slot."""
    n_reusable: int = 0
    """How many of them are a prefix of the new prompt that its user may reuse."""
    is_foreign: bool = False
    """Whether the slot holds another user's tokens."""
    used_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """The slot of a new sequence, and the source of its prompt's evaluated prefix."""

    slot: int
    source: int | None = None
    """The slot that holds the prefix, which may be `slot` itself; None if `from_saved`."""
    from_saved: bool = False
    """Whether the prefix comes from a saved state."""


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Moving averages of measured step times, in seconds; 0 while unknown."""

    decode_s: float = 0.0
    """A step without prompt tokens."""
    prompt_token_s: float = 0.0
    """The additional time for each prompt token."""

    def observed(self, *, n_decoding: int, n_prompt: int, seconds: float) -> StepCost:
        """Return the averages after one more measured step."""
        if n_prompt == 0:
            return replace(self, decode_s=_smoothed(self.decode_s, seconds))
        prompt_s = seconds - (self.decode_s if n_decoding else 0.0)
        if n_prompt < _MIN_BUDGET or prompt_s <= 0:
            return self
        return replace(self, prompt_token_s=_smoothed(self.prompt_token_s, prompt_s / n_prompt))


def _smoothed(old: float, new: float) -> float:
    return new if old == 0 else 0.7 * old + 0.3 * new


def admit(waiting: Sequence[Waiting], running: Mapping[str, int], n_free: int) -> list[int]:
    """Return the keys of the requests that get a slot now.

    The last free slot is kept for a request that has none yet: in the proxy's fair queue a request is
    one turn, however many responses it asks for. A request that was passed over often may take it.

    Args:
        waiting: all waiting requests, in order of arrival.
        running: number of running responses, by tag.
        n_free: number of free slots.
    """
    counts, candidates = dict(running), list(waiting)
    admitted: list[int] = []

    def passed_over(request: Waiting) -> int:
        same_user = counts.get(request.tag, 0) - running.get(request.tag, 0)
        return request.passed_over + len(admitted) - same_user

    def rank(request: Waiting) -> float:
        return counts.get(request.tag, 0) / request.weight - passed_over(request) / PASSED_OVER

    while len(admitted) < n_free:
        is_last = len(admitted) == n_free - 1
        eligible = [
            request
            for request in candidates
            if not (is_last and request.is_further) or passed_over(request) >= PASSED_OVER
        ]
        if not eligible:
            break
        chosen = min(eligible, key=rank)
        candidates.remove(chosen)
        admitted.append(chosen.key)
        counts[chosen.tag] = counts.get(chosen.tag, 0) + 1
    return admitted


def choose_place(slots: Sequence[SlotView], n_saved: int) -> Place:
    """Choose the slot of a new sequence. At least one slot must be free.

    llama.cpp computes sequences with consecutive ids together. So the free slot that leaves the fewest
    gaps is chosen, and the evaluated prefix of the prompt is copied into it.

    Args:
        slots: all slots.
        n_saved: length of the prompt's prefix that the best saved state contains.
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
        chosen = best if goes_on else target
        gain = best.n_reusable - chosen.n_reusable
        is_copied = gain >= SHORT_REUSE and best.n_held <= SHORT_SEQUENCE
        return Place(slot=chosen.key, source=best.key if is_copied else chosen.key)
    if best.is_free and ((is_adjacent and not best.is_foreign) or len(free) == 1):
        return Place(slot=best.key, source=best.key)
    if target is best:
        target = free[1] if len(free) > 1 else target
    return Place(slot=target.key, source=best.key)


def n_runs(keys: Collection[int]) -> int:
    """Return the number of runs of consecutive keys."""
    return sum(key - 1 not in keys for key in set(keys))


def moved_into_gap(running: Collection[int], free: Collection[int]) -> tuple[int, int] | None:
    """Return the key of the sequence to move and that of the gap; None if there is no gap."""
    if n_runs(running) < 2:
        return None
    gaps = [key for key in free if min(running) < key < max(running)]
    return max(running), min(gaps)


def prompt_budget(cost: StepCost, *, n_decoding: int, n_reading: int, n_batch: int) -> int:
    """Return how many prompt tokens the next step may evaluate: whole tiles, or few.

    Args:
        cost: the measured step times.
        n_decoding: responses being generated; each needs one token of the step.
        n_reading: sequences whose prompts are being evaluated.
        n_batch: the most tokens that a step may have.
    """
    room = n_batch - n_decoding
    if cost.prompt_token_s == 0:
        return min(room, _FIRST_BUDGET)
    step_s = LONGEST_STEP_S
    if n_decoding:
        usual_s = min(max(_STEP_FACTOR * cost.decode_s, _SHORT_STEP_S), STEP_S)
        step_s = min(usual_s * (1 + n_reading / n_decoding), LONGEST_STEP_S) - cost.decode_s
    wanted = min(max(step_s, 0.0) / cost.prompt_token_s, room)
    # A step may take a third longer than it should for the sake of whole tiles.
    n_tokens = TILE * round(wanted / TILE) if wanted >= 0.75 * TILE else int(wanted)
    return min(room, max(_MIN_BUDGET, n_tokens))


def drafts_allowed(cost: StepCost, *, n_decoding: int, n_batch: int) -> int:
    """Return how many tokens may be guessed for each of `n_decoding` responses.

    A guess costs as much as a prompt token. A right one saves its response a step, whose cost all
    responses share. Guessing pays if that share is at least twice the cost of a guess: half of the
    guesses are assumed to be right.
    """
    if cost.prompt_token_s * 2 * n_decoding > cost.decode_s > 0:
        return 0
    return max(0, (n_batch - n_decoding) // (2 * n_decoding))


def deal(readers: Sequence[Reader], served: Mapping[str, float], budget: int) -> dict[int, int]:
    """Divide a step's prompt tokens among the readers. Returns the tokens by key, without zeros.

    Args:
        readers: all sequences whose prompts are being evaluated.
        served: prompt tokens that each tag has got, divided by its weight (see `serve`).
        budget: prompt tokens for all readers together.
    """
    received = {reader.tag: served.get(reader.tag, 0.0) for reader in readers}
    remaining = {reader.key: reader.remaining for reader in readers}
    dealt: dict[int, int] = {}
    while budget > 0 and (unfinished := [reader for reader in readers if remaining[reader.key]]):
        chosen = min(
            unfinished,
            key=lambda reader: (
                int(received[reader.tag] / QUANTUM),
                remaining[reader.key] - reader.waited * QUANTUM,
                reader.key,
            ),
        )
        n_tokens = min(QUANTUM, remaining[chosen.key], budget)
        remaining[chosen.key] -= n_tokens
        budget -= n_tokens
        received[chosen.tag] += n_tokens / chosen.weight
        dealt[chosen.key] = dealt.get(chosen.key, 0) + n_tokens
    return dealt


def with_first_tokens(dealt: Mapping[int, int], readers: Sequence[Reader], room: int) -> dict[int, int]:
    """Return what is dealt beside responses, with one token more for each piece of whole tiles.

    llama.cpp first evaluates one token of each sequence, the responses' among them, and then what is
    left of the pieces.

    Args:
        dealt: prompt tokens by key, from `deal`.
        readers: all sequences whose prompts are being evaluated.
        room: prompt tokens that the step can have.
    """
    left = room - sum(dealt.values())
    more = dict(dealt)
    for reader in readers:
        n_tokens = dealt.get(reader.key, 0)
        if left > 0 and 0 < n_tokens < reader.remaining and n_tokens % TILE == 0:
            more[reader.key] += 1
            left -= 1
    return more


def serve(
    readers: Sequence[Reader], served: Mapping[str, float], dealt: Mapping[int, int]
) -> dict[str, float]:
    """Return `served` after a call of `deal`, for the tags that have readers, less the minimum.

    A tag without readers before starts at the minimum: it earns no credit while it asks for nothing.
    """
    known = [served[reader.tag] for reader in readers if reader.tag in served]
    least = min(known, default=0.0)
    after = {reader.tag: served.get(reader.tag, least) - least for reader in readers}
    for reader in readers:
        after[reader.tag] += dealt.get(reader.key, 0) / reader.weight
    return after
