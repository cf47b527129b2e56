"""What the scheduler decides: nobody starves, no budget is exceeded, nobody gets two slots."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.generation.decisions import (
    LONGEST_STEP_S,
    MIN_REUSE,
    PASSED_OVER,
    QUANTUM,
    STEP_S,
    TILE,
    Place,
    Reader,
    SlotView,
    StepCost,
    Waiting,
    admit,
    choose_place,
    deal,
    moved_into_gap,
    n_runs,
    prompt_budget,
    serve,
    with_first_tokens,
)
from runtime.engine.generation.generation import Prompt
from runtime.engine.generation.slots import Sequence, Slot
from runtime.engine.generation.steps import Planner

TAGS = st.sampled_from("abc")
WEIGHTS = st.sampled_from([0.5, 1.0, 4.0])


@st.composite
def waiting(draw: st.DrawFn) -> list[Waiting]:
    """Requests that wait, in the order in which they came."""
    requests = draw(st.lists(st.tuples(TAGS, WEIGHTS, st.integers(0, 40)), max_size=12))
    return [
        Waiting(key=key, tag=tag, weight=weight, passed_over=passed_over)
        for key, (tag, weight, passed_over) in enumerate(requests)
    ]


@st.composite
def readers(draw: st.DrawFn) -> list[Reader]:
    """Sequences that read their prompts."""
    some = draw(st.lists(st.tuples(TAGS, WEIGHTS, st.integers(1, 3000), st.integers(0, 50)), max_size=8))
    return [
        Reader(key=key, tag=tag, weight=weight, remaining=remaining, waited=waited)
        for key, (tag, weight, remaining, waited) in enumerate(some)
    ]


@given(requests=waiting(), running=st.dictionaries(TAGS, st.integers(0, 8)), n_free=st.integers(0, 9))
def test_every_free_slot_is_given_once(
    requests: list[Waiting], running: dict[str, int], n_free: int
) -> None:
    """As many are admitted as there are slots or requests, nobody twice."""
    admitted = admit(requests, running, n_free)

    assert len(admitted) == len(set(admitted)) == min(n_free, len(requests))
    assert set(admitted) <= {request.key for request in requests}


@given(requests=waiting(), n_free=st.integers(1, 9))
def test_a_user_is_served_in_the_order_of_arrival(requests: list[Waiting], n_free: int) -> None:
    """Among requests of one user, one weight and one wait, those that came first are first."""
    same = [Waiting(key=request.key, tag="a") for request in requests]

    assert admit(same, {}, n_free) == [request.key for request in same][:n_free]


def test_who_has_less_under_way_is_admitted_first() -> None:
    """By weight: two of a user who counts twice are as much as one of another."""
    requests = [Waiting(key=0, tag="busy"), Waiting(key=1, tag="idle")]

    assert admit(requests, {"busy": 1}, 1) == [1]
    assert admit([Waiting(key=0, tag="busy", weight=4), Waiting(key=1, tag="other")],
                 {"busy": 2, "other": 1}, 1) == [0]  # fmt: skip


@given(n_free=st.integers(1, 9), n_more=st.integers(0, 20))
def test_one_request_leaves_a_slot_to_others(n_free: int, n_more: int) -> None:
    """However many responses it asks for: to the proxy they are one turn, and it sends others too."""
    request = [Waiting(key=0)] + [Waiting(key=key, is_further=True) for key in range(1, n_more + 1)]
    other = Waiting(key=99, tag="other")
    alone = admit(request, {}, n_free)

    assert alone == list(range(min(1 + n_more, max(1, n_free - 1))))
    if n_free > len(alone):
        assert 99 in admit([*request[len(alone) :], other], {"": len(alone)}, n_free - len(alone))


def test_further_responses_do_not_wait_for_ever() -> None:
    """Though others keep coming for the one free slot."""
    further = Waiting(key=0, is_further=True, passed_over=PASSED_OVER)

    assert admit([further], {}, 1) == [0]


@given(n_others=st.integers(1, 7))
def test_nobody_waits_for_ever_behind_newcomers(n_others: int) -> None:
    """A user with many responses under way comes to their turn though others keep coming."""
    for passed_over in range(PASSED_OVER * 8 + 1):
        requests = [Waiting(key=0, tag="a", passed_over=passed_over)]
        requests += [Waiting(key=key, tag=f"new {key}") for key in range(1, n_others + 1)]
        if admit(requests, {"a": 7}, 1) == [0]:
            return
    raise AssertionError("it still waits")


@given(reading=readers(), budget=st.integers(0, 2048), served=st.dictionaries(TAGS, st.floats(0, 1e4)))
def test_the_whole_budget_is_dealt_and_no_more(
    reading: list[Reader], budget: int, served: dict[str, float]
) -> None:
    """Nobody gets more than is left of the prompt."""
    dealt = deal(reading, served, budget)

    remaining = {reader.key: reader.remaining for reader in reading}
    assert sum(dealt.values()) == min(budget, sum(remaining.values()))
    assert all(0 < dealt[key] <= remaining[key] for key in dealt)


@given(reading=readers(), budget=st.integers(16, 512))
def test_every_prompt_is_read_in_the_end(reading: list[Reader], budget: int) -> None:
    """In as many steps as all of them take together."""
    served: dict[str, float] = {}
    total = sum(reader.remaining for reader in reading)
    for _ in range(-(-total // budget)):
        dealt = deal(reading, served, budget)
        served = serve(reading, served, dealt)
        reading = [
            Reader(key=one.key, tag=one.tag, weight=one.weight, remaining=left,
                   waited=0 if one.key in dealt else one.waited + 1)
            for one in reading
            if (left := one.remaining - dealt.get(one.key, 0))
        ]  # fmt: skip

    assert reading == []


def test_users_are_dealt_equal_shares_however_much_they_ask() -> None:
    """One with many long prompts gets as much as one with a single one; more by weight."""
    reading = [Reader(key=key, tag="many", remaining=3000) for key in range(5)]
    reading += [
        Reader(key=5, tag="one", remaining=3000),
        Reader(key=6, tag="two", weight=2, remaining=3000),
    ]
    served: dict[str, float] = {}
    got: Counter[str] = Counter()
    for _ in range(100):
        dealt = deal(reading, served, 64)
        served = serve(reading, served, dealt)
        for reader in reading:
            got[reader.tag] += dealt.get(reader.key, 0)

    assert abs(got["many"] - got["one"]) <= 2 * QUANTUM
    assert abs(got["two"] - 2 * got["one"]) <= 4 * QUANTUM


def test_a_newcomer_s_short_prompt_is_read_at_once() -> None:
    """Another user's long one is under way; in the same user's hands the shorter is first."""
    long = Reader(key=0, tag="a", remaining=2500)
    served = serve([long], {}, deal([long], {}, 512))

    assert deal([long, Reader(key=1, tag="b", remaining=40)], served, 64)[1] == 40
    assert deal([long, Reader(key=1, tag="a", remaining=40)], served, 64)[1] == 40


@given(
    decode_s=st.floats(0, 5), prompt_token_s=st.floats(0, 1) | st.floats(1e-3, 0.02),
    n_decoding=st.integers(0, 8), n_reading=st.integers(1, 8),
)  # fmt: skip
def test_a_step_s_prompt_tokens_take_their_time_at_most(
    decode_s: float, prompt_token_s: float, n_decoding: int, n_reading: int
) -> None:
    """The least that is read aside: without it nothing would come to an end."""
    cost = StepCost(decode_s=decode_s, prompt_token_s=prompt_token_s)
    budget = prompt_budget(cost, n_decoding=n_decoding, n_reading=n_reading, n_batch=512)

    assert 16 <= budget <= 512 - n_decoding
    if budget > 64:
        limit = (
            min(STEP_S * (1 + n_reading / n_decoding), LONGEST_STEP_S) if n_decoding else LONGEST_STEP_S
        )
        assert budget * prompt_token_s <= limit * 4 / 3
    if 48 < budget < 512 - n_decoding:
        assert budget % TILE == 0


@pytest.mark.parametrize(
    ("affordable", "expected"),
    [(10, 16), (47, 47), (49, 64), (95, 64), (97, 128), (333, 320), (900, 512)],
)
def test_a_step_reads_whole_tiles_or_few_tokens(affordable: int, expected: int) -> None:
    """The nearest number of tiles; less than three quarters of one as it is."""
    cost = StepCost(decode_s=0.1, prompt_token_s=LONGEST_STEP_S / (affordable + 0.1))

    assert prompt_budget(cost, n_decoding=0, n_reading=1, n_batch=512) == expected


@pytest.mark.parametrize(("is_beside", "expected"), [(False, 64), (True, 65)])
def test_a_plan_has_the_first_token_beside_a_response(*, is_beside: bool, expected: int) -> None:
    """So a whole tile is left when llama.cpp has evaluated a token of each sequence."""
    running = [_sequence(0, 300, is_decoding=False)]
    running += [_sequence(1, 5, is_decoding=True)] * is_beside
    plan = Planner(512, looks_up=False).plan(running)

    assert [part.n_tokens for part in plan] == [expected, 1][: len(running)]


def _sequence(key: int, n_tokens: int, *, is_decoding: bool) -> Sequence:
    """A prompt of which nothing has been read, or a response."""
    slot = Slot(key, 512)
    slot.set_tokens([1] * n_tokens, n_past=n_tokens - 1 if is_decoding else 0)
    generation = SimpleNamespace(
        prompt=Prompt(tokens=[1] * n_tokens),
        limits=SimpleNamespace(max_tokens=50),
        user=SimpleNamespace(tag=str(key), weight=1.0, is_batch=False),
        completion_tokens=0,
    )
    made = SimpleNamespace(
        slot=slot, generation=generation, is_decoding=is_decoding, leader=None, waited=0
    )
    return cast("Sequence", made)


@given(reading=readers(), budget=st.integers(0, 600), room=st.integers(0, 512))
def test_beside_responses_whole_tiles_come_after_a_first_token(
    reading: list[Reader], budget: int, room: int
) -> None:
    """Each piece has a token more, or none: never beyond its prompt or the step."""
    dealt = deal(reading, {}, min(budget, room))
    more = with_first_tokens(dealt, reading, room)

    remaining = {reader.key: reader.remaining for reader in reading}
    assert sum(more.values()) <= room
    assert more.keys() == dealt.keys()
    for key, n_tokens in more.items():
        assert n_tokens - dealt[key] in ((0, 1) if dealt[key] % TILE == 0 else (0,))
        assert n_tokens <= remaining[key]


def test_a_first_token_is_added_to_whole_tiles_alone() -> None:
    """To none that ends a prompt, and to none where the step is full."""
    reading = [Reader(key=5, remaining=200), Reader(key=6, remaining=90), Reader(key=7, remaining=64)]

    assert with_first_tokens({5: 128, 6: 30, 7: 64}, reading, 400) == {5: 129, 6: 30, 7: 64}
    assert with_first_tokens({5: 128}, reading, 128) == {5: 128}


def test_costs_follow_what_is_observed() -> None:
    """A step's prompt tokens cost what they take beside the tokens of responses."""
    cost = StepCost().observed(n_decoding=3, n_prompt=0, seconds=0.1)
    cost = cost.observed(n_decoding=3, n_prompt=100, seconds=0.6)

    assert (cost.decode_s, round(cost.prompt_token_s, 9)) == (0.1, 0.005)
    budget = prompt_budget(cost, n_decoding=3, n_reading=1, n_batch=512)
    assert (STEP_S * 4 / 3 - 0.1) / cost.prompt_token_s == pytest.approx(46.7, abs=0.1)
    assert budget == 46


@given(
    slots=st.lists(st.tuples(st.booleans(), st.integers(0, 500), st.booleans()), min_size=1, max_size=8),
    n_saved=st.integers(0, 500),
)
def test_a_place_is_a_free_slot(slots: list[tuple[bool, int, bool]], n_saved: int) -> None:
    """And what is reused is the most there is, about: nothing longer is left aside."""
    views = [
        SlotView(key=key, is_free=is_free or key == 0, n_held=500, n_reusable=n, is_foreign=foreign)
        for key, (is_free, n, foreign) in enumerate(slots)
    ]
    place = choose_place(views, n_saved)

    assert views[place.slot].is_free
    reused = n_saved if place.from_saved else views[place.source or 0].n_reusable
    best = max(view.n_reusable for view in views)
    assert reused >= max(best, n_saved) - MIN_REUSE


def test_a_conversation_goes_on_where_it_is() -> None:
    """In its own slot while nobody runs; copied beside those who run otherwise."""
    views = [SlotView(key=key, is_free=True) for key in range(4)]
    views[3] = SlotView(key=3, is_free=True, n_held=900, n_reusable=900)
    assert choose_place(views, 0) == Place(slot=3, source=3)

    views[0] = SlotView(key=0, is_free=False, n_held=100)
    assert choose_place(views, 0) == Place(slot=1, source=3)


def test_a_short_beginning_is_copied_from_a_short_sequence() -> None:
    """Such as a template's own system message. Copying a long one would cost more than it saves."""
    short = SlotView(key=0, is_free=False, n_held=200, n_reusable=24)
    free = SlotView(key=1, is_free=True)
    assert choose_place([short, free], 0) == Place(slot=1, source=0)
    assert choose_place([replace(short, n_held=4000), free], 0) == Place(slot=1, source=1)
    assert choose_place([replace(short, n_reusable=8), free], 0) == Place(slot=1, source=1)


@given(running=st.sets(st.integers(0, 7), min_size=1))
def test_moves_close_gaps_until_there_is_none(running: set[int]) -> None:
    """Each goes down into a free slot and leaves no more gaps; in the end all are side by side."""
    free = set(range(8)) - running
    while (move := moved_into_gap(running, free)) is not None:
        source, target = move
        assert source in running
        assert target in free
        moved = running - {source} | {target}
        assert n_runs(moved) <= n_runs(running)
        assert target < source
        running, free = moved, free - {target} | {source}

    assert n_runs(running) == 1
