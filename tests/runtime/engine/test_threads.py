"""The number of threads follows the step and the machine's load."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.engine.threads import INTERVAL_S, READING_TOKENS, StepThreads, threads_beside


class Machine:
    """A clock, a load, and the numbers of threads that were set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.other_cores = 0.0
        self.applied: list[int] = []

    def threads(self, *, generating: int = 4, adjusts: bool = True) -> StepThreads:
        other_cores: Callable[[], float] | None = (lambda: self.other_cores) if adjusts else None
        return StepThreads(
            generating=generating,
            reading=6,
            apply=self.applied.append,
            other_cores=other_cores,
            clock=lambda: self.now,
        )

    def steps(self, threads: StepThreads, number: int, n_tokens: int = 1) -> None:
        for _ in range(number):
            self.now += INTERVAL_S
            threads.set_for(n_tokens)


def test_steps_that_read_prompts_have_a_number_of_their_own() -> None:
    """It is set when it changes, not at each step."""
    machine = Machine()
    threads = machine.threads()
    for n_tokens in (1, 8, READING_TOKENS, READING_TOKENS + 1, 512, 1):
        threads.set_for(n_tokens)
    assert machine.applied == [4, 6, 4]


def test_fewer_threads_generate_beside_busy_processes_and_all_again_afterwards() -> None:
    """Within a second or two; steps that read prompts keep theirs."""
    machine = Machine()
    threads = machine.threads()
    machine.other_cores = 2.0
    machine.steps(threads, 8)
    assert machine.applied[-1] == 2
    machine.steps(threads, 1, n_tokens=500)
    assert machine.applied[-1] == 6
    machine.other_cores = 0.0
    machine.steps(threads, 8)
    assert machine.applied[-1] == 4


def test_the_load_of_a_time_without_steps_says_nothing() -> None:
    """What others did while nobody asked must not slow down the next answer's beginning."""
    machine = Machine()
    threads = machine.threads()
    machine.steps(threads, 2)
    machine.other_cores = 4.0
    machine.now += 60
    threads.set_for(1)
    machine.other_cores = 0.0
    machine.steps(threads, 8)

    assert machine.applied == [4]


def test_a_number_that_was_set_stays() -> None:
    """Whatever else the machine does."""
    machine = Machine()
    machine.other_cores = 4.0
    machine.steps(machine.threads(adjusts=False), 8)
    assert machine.applied == [4]


@pytest.mark.parametrize(
    ("used_by_others", "most", "current", "wanted"),
    [
        (0.0, 2, 2, 2),
        (0.3, 2, 2, 2),
        (0.9, 2, 2, 1),
        (0.5, 2, 1, 1),
        (0.1, 2, 1, 2),
        (9.0, 4, 4, 1),
        (2.4, 8, 8, 6),
        (0.0, 1, 1, 1),
    ],
)
def test_the_number_is_what_is_free_and_does_not_alternate(
    used_by_others: float, most: int, current: int, wanted: int
) -> None:
    """At least one, at most `most`; half a core more or less changes nothing."""
    assert threads_beside(used_by_others, most=most, current=current) == wanted
