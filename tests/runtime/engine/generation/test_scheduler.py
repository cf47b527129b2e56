"""The scheduler without a model: whatever comes, each request gets one end, and the context is what the
scheduler believes it to be.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.engine.generation.admission import SlotTable
from runtime.engine.generation.channel import Channel, Ended, Event, Piece
from runtime.engine.generation.context import Batch, Context
from runtime.engine.generation.generation import (
    End,
    Generation,
    GenerationLimits,
    Prompt,
    Sampling,
    User,
)
from runtime.engine.generation.scheduler import Scheduler
from runtime.engine.generation.steps import SCORED_TOKENS
from runtime.engine.metrics import Metrics
from runtime.engine.threads import StepThreads
from runtime.engine.watchdog.progress import Progress

N_VOCAB, END, N_SLOTS, N_CTX, N_BATCH = 8, 0, 3, 400, 96
GREEDY = Sampling(temperature=0, repeat_penalty=1)


class FakeContext:
    """Holds tokens as llama.cpp's context does, and checks that each comes in its place."""

    n_vocab = N_VOCAB

    def __init__(self, *, can_trim: bool, failures: list[int], ends_after: int) -> None:
        self.can_trim = can_trim
        self.failures = failures
        """What `decode` returns, step by step; 0 when there are no more."""
        self.tokens: dict[int, list[int]] = {key: [] for key in range(N_SLOTS)}
        self._rows: dict[int, list[int]] = {}
        self._ends_after = ends_after

    def decode(self, batch: Batch) -> int:
        n_tokens = batch.n_tokens
        assert 0 < n_tokens <= N_BATCH
        ids = batch._ids[:n_tokens].tolist()
        assert ids == sorted(ids)
        code = self.failures.pop() if self.failures else 0
        self._rows = {}
        for row, key in enumerate(ids if code == 0 else ids[: n_tokens // 2] if code < 0 else []):
            held = self.tokens[key]
            assert batch._positions[row] == len(held) < N_CTX
            held.append(int(batch.tokens[row]))
            if batch._has_logits[row]:
                self._rows[row] = list(held)
        return code

    def logits(self, row: int) -> NDArray[np.single]:
        """What follows depends on all tokens before, as it does with a model."""
        before = self._rows[row]
        logits = np.zeros(N_VOCAB, dtype=np.single)
        token = 1 + (sum(before) + len(before)) % (N_VOCAB - 1)
        logits[END if len(before) % self._ends_after == 0 else token] = 1
        return logits

    def trim(self, key: int, length: int) -> bool:
        kept = length == 0 or self.can_trim or length == len(self.tokens[key])
        assert length <= len(self.tokens[key])
        self.tokens[key] = self.tokens[key][:length] if kept else []
        return kept

    def clear(self, key: int) -> None:
        self.tokens[key] = []

    def copy(self, source: int, target: int) -> bool:
        self.tokens[target] = list(self.tokens[source])
        return True

    def state_size(self, key: int) -> int:
        return 4 * len(self.tokens[key])

    def save(self, key: int, buffer: NDArray[np.uint8], size: int) -> bool:
        buffer[:size] = np.array(self.tokens[key], dtype=np.int32).view(np.uint8)
        return True

    def restore(self, key: int, buffer: NDArray[np.uint8], size: int) -> bool:
        self.tokens[key] = buffer[:size].view(np.int32).tolist()
        return True


class FakeVocabulary:
    """Letters, and an end."""

    pieces = [b"", *(bytes([96 + token]) for token in range(1, N_VOCAB))]  # noqa: RUF012

    def ends(self) -> list[int]:
        return [END]


class Recorded(Channel):
    """Keeps all that comes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = None
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)


def make(context: FakeContext, cache_bytes: int = 4000) -> tuple[Scheduler, SlotTable]:
    table = SlotTable(cast("Context", context), n_slots=N_SLOTS, n_tokens=N_CTX, cache_bytes=cache_bytes)
    scheduler = Scheduler(
        cast("Context", context),
        table,
        cast("Any", FakeVocabulary()),
        n_batch=N_BATCH,
        switch=cast("Any", None),
        metrics=Metrics(),
        progress=Progress(),
        threads=StepThreads(generating=1, reading=1, apply=lambda _number: None, other_cores=None),
    )
    return scheduler, table


def generation(tokens: list[int], max_tokens: int, user: str, *, seconds: float = 60) -> Generation:
    """`user` in capitals: a line of a batch."""
    return Generation(
        prompt=Prompt(tokens=tokens, n_shared=len(tokens) if user == "c" else 0),
        limits=GenerationLimits(max_tokens=max_tokens, seconds=seconds),
        sampling=GREEDY,
        user=User(tag=user.lower(), is_batch=user.isupper()),
        channel=Recorded(),
    )


def events(one: Generation) -> list[Event]:
    assert isinstance(one.channel, Recorded)
    return one.channel.events


def text(one: Generation) -> str:
    return "".join(event.text for event in events(one) if isinstance(event, Piece))


STARTS = [[1] * 150, [1] * 70 + [2] * 80, [3] * 10]
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(STARTS),
        st.lists(st.integers(1, N_VOCAB - 1), min_size=1, max_size=90),
        st.integers(1, 40),
        st.sampled_from("abcAB"),  # capitals: lines of batches
        st.integers(0, 30),  # the turn in which it comes
        st.one_of(st.none(), st.integers(0, 60)),  # the turn in which its client leaves
    ),
    min_size=1,
    max_size=9,
)


def run(
    scheduler: Scheduler, table: SlotTable, context: FakeContext, requests: list[Any]
) -> list[Generation]:
    """Have requests come and go, turn by turn, until all have ended."""
    made = [generation(start + rest, most, user) for start, rest, most, user, _, _ in requests]
    for turn in range(2000):
        for one, (_, _, _, _, comes, leaves) in zip(made, requests, strict=True):
            if turn == comes:
                scheduler.submit([one])
            if leaves is not None and turn == comes + leaves:
                one.end(End.LEFT)
        if scheduler.n_running + scheduler.n_waiting:
            scheduler.turn()
        for slot in table.slots:
            assert slot.held.tolist() == context.tokens[slot.key]
        if turn > 30 and all(one.is_ended for one in made):
            return made
    raise AssertionError("a request has not ended")


@settings(max_examples=150)
@given(
    requests=REQUESTS,
    failures=st.lists(st.sampled_from([0, 0, 0, 1, -3]), max_size=40),
    can_trim=st.booleans(),
)
def test_each_request_gets_exactly_one_end(
    requests: list[Any], failures: list[int], can_trim: bool
) -> None:
    """Whatever fails and whoever leaves; nothing comes after it, and no response is too long."""
    context = FakeContext(can_trim=can_trim, failures=failures, ends_after=37)
    scheduler, table = make(context)
    for one in run(scheduler, table, context, requests):
        kinds = Counter(type(event) for event in events(one))
        assert kinds[Ended] == 1
        assert isinstance(events(one)[-1], Ended)
        assert one.completion_tokens <= one.limits.max_tokens
        assert one.cached_tokens <= one.prompt_tokens <= len(one.prompt.tokens)
    assert scheduler.n_running == scheduler.n_waiting == 0
    assert table.n_free == N_SLOTS


@settings(max_examples=100)
@given(requests=REQUESTS, failures=st.lists(st.sampled_from([0, 0, 1, -3]), max_size=20))
def test_a_response_is_the_same_in_any_company(requests: list[Any], failures: list[int]) -> None:
    """As alone in an empty context: reuse, copies, moves and failed steps change nothing."""
    context = FakeContext(can_trim=True, failures=failures, ends_after=37)
    scheduler, table = make(context)
    for one in run(scheduler, table, context, requests):
        alone_in = FakeContext(can_trim=True, failures=[], ends_after=37)
        single: Any = (list(one.prompt.tokens), [], one.limits.max_tokens, "a", 0, None)
        (alone,) = run(*make(alone_in), alone_in, [single])
        whole = one.failure is None and one.ended_by is None
        assert text(one) == text(alone) if whole else text(alone).startswith(text(one))


def test_time_that_is_up_ends_a_response_with_what_there_is() -> None:
    """Time counts from the slot on: who waits for one has all of it."""
    context = FakeContext(can_trim=True, failures=[], ends_after=10_000)
    scheduler, _ = make(context)
    running = [generation([1, 2], 300, "a", seconds=0.05) for _ in range(N_SLOTS)]
    waiting = generation([1, 2], 3, "a", seconds=0.05)
    scheduler.submit([*running, waiting])
    scheduler.turn()
    time.sleep(0.06)
    while not waiting.is_ended:
        scheduler.turn()

    for one in running:
        *_, last, ended = events(one)
        assert isinstance(ended, Ended)
        assert isinstance(last, Piece)
        assert last.finish_reason == "length"
        assert one.completion_tokens < 300
    assert waiting.completion_tokens == 3


def test_no_user_gets_another_s_tokens() -> None:
    """Neither from a slot nor from a saved state; what is declared shared is."""
    context = FakeContext(can_trim=True, failures=[], ends_after=10_000)
    scheduler, _ = make(context, cache_bytes=100_000)
    cached = []
    for user in "aabbcc":
        one = generation([1] * 200, 2, user)
        scheduler.submit([one])
        while not one.is_ended:
            scheduler.turn()
        cached.append(one.cached_tokens)

    assert cached == [0, 199, 0, 199, 0, 199]


def test_a_user_s_own_responses_do_not_count_as_having_waited() -> None:
    """Many of one user's have been answered, and many wait: another's first one is next all the same."""
    scheduler, _ = make(FakeContext(can_trim=True, failures=[], ends_after=1000))
    many = [generation([1] * 5, 1, "a") for _ in range(100)]
    scheduler.submit(many)
    while sum(one.is_ended for one in many) < 80:
        scheduler.turn()
    newcomer = generation([2] * 5, 1, "b")
    scheduler.submit([newcomer])
    scheduler.turn()
    scheduler.turn()

    assert newcomer.is_ended
    assert sum(one.is_ended for one in many) < 90


def test_one_request_leaves_a_slot_to_others_however_many_prompts_it_has() -> None:
    """Also when many of its responses have been made already."""
    scheduler, _ = make(FakeContext(can_trim=True, failures=[], ends_after=1000))
    many = [generation([1] * 5, 3, "a") for _ in range(100)]
    for one in many:
        one.channel = many[0].channel
    scheduler.submit(many)
    while not all(one.is_ended for one in many):
        scheduler.turn()
        assert scheduler.n_running < N_SLOTS


def test_a_request_has_its_slot_in_the_next_step_whatever_lines_of_batches_run() -> None:
    """The latest line gives up its slot, and goes on with the text that it would have had."""
    context = FakeContext(can_trim=True, failures=[], ends_after=10_000)
    scheduler, _ = make(context, cache_bytes=100_000)
    lines = [generation([1 + number] * 70, 60, "A") for number in range(N_SLOTS)]
    scheduler.submit(lines)
    while not all(one.completion_tokens >= 5 for one in lines):
        scheduler.turn()
    before = [one.completion_tokens for one in lines]
    newcomer = generation([5] * 10, 20, "b")
    scheduler.submit([newcomer])
    scheduler.turn()
    assert newcomer.completion_tokens == 1
    while not newcomer.is_ended:
        scheduler.turn()
    moved = [one.completion_tokens > n for one, n in zip(lines, before, strict=True)]
    assert sorted(moved) == [False, True, True]
    while not all(one.is_ended for one in lines):
        scheduler.turn()
    for one in lines:
        alone_in = FakeContext(can_trim=True, failures=[], ends_after=10_000)
        (alone,) = run(*make(alone_in), alone_in, [(one.prompt.tokens, [], 60, "a", 0, None)])
        assert text(one) == text(alone)


def test_a_line_of_a_batch_waits_until_no_request_does() -> None:
    """Also one that came first; and its time does not run while it is paused."""
    scheduler, _ = make(FakeContext(can_trim=True, failures=[], ends_after=10_000))
    requests = [generation([1] * 5, 30, user) for user in "abbaab"]
    line = generation([2] * 5, 30, "C", seconds=0.2)
    scheduler.submit([line])
    scheduler.turn()
    scheduler.submit(requests)
    scheduler.turn()
    scheduler.turn()
    done = line.completion_tokens
    time.sleep(0.25)
    while sum(one.is_ended for one in requests) < len(requests) - N_SLOTS + 1:
        assert line.completion_tokens == done
        scheduler.turn()
    while not line.is_ended:
        scheduler.turn()
    assert line.completion_tokens == 30


def test_few_tokens_of_a_step_have_logits_however_many_prompts_are_scored() -> None:
    """llama.cpp keeps room for as many as a step ever had: half a MB each with a large vocabulary."""
    context = FakeContext(can_trim=True, failures=[], ends_after=1000)
    scheduler, _ = make(context)
    most = 0

    def decode(batch: Batch) -> int:
        nonlocal most
        most = max(most, int(batch._has_logits[: batch.n_tokens].sum()))
        return FakeContext.decode(context, batch)

    context.decode = decode  # type: ignore[method-assign]
    scored = [generation([1] * 300, 1, user) for user in "aab"]
    for one in scored:
        one.prompt = replace(one.prompt, is_scored=True)
    scheduler.submit(scored)
    while not all(one.is_ended for one in scored):
        scheduler.turn()

    assert SCORED_TOKENS < N_BATCH
    assert most <= SCORED_TOKENS + N_SLOTS
    for one in scored:
        told = [
            logprob for event in events(one) if isinstance(event, Piece) for logprob in event.logprobs
        ]
        assert len(told) == 300
