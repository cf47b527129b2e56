"""The database's windows against a brute-force model, with a clock that the test turns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.database import schema
from proxy.database.pool import connect
from tests.support.postgres import Postgres

EPOCH = 1_800_000_000.0
numbers = itertools.count(1)

# Unqualified names are looked for here first, so the functions read this clock for the real one.
CLOCK = """
    CREATE SCHEMA turned;
    CREATE TABLE turned.clock AS SELECT to_timestamp(0) AS at;
    CREATE FUNCTION turned.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT at FROM turned.clock';
    SET search_path = turned, pg_catalog, public;
"""


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """A database whose time is the test's; each example has a user of its own."""
    with connect(postgres.fresh_database(), application="tests") as connection:
        schema.migrate(connection)
        connection.execute(CLOCK)
        yield connection


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 3)),
        st.tuples(st.just("send"), st.just(1)),
        st.tuples(st.just("wait"), st.integers(0, 24)),
        st.tuples(st.just("limit"), st.integers(1, 5)),
        st.tuples(st.just("window"), st.sampled_from([4, 16, 32])),
        st.tuples(st.just("give back"), st.just(0)),
    ),
    min_size=5,
    max_size=40,
)
"""Times are eighths of a second: exact in every form."""


class Model:
    """By the definition: who was admitted when."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.user = next(numbers)
        self.now = 0
        self.set_back = 0
        self.limit, self.window = 3, 16
        self.admitted: list[int] = []
        self.held: list[tuple[int, int]] = []

    def tell_time(self) -> None:
        at = EPOCH + (self.now - self.set_back) / 8
        self.connection.execute("UPDATE turned.clock SET at = to_timestamp(%s)", [at])

    def used(self) -> int:
        return sum(at + self.window > self.now for at in self.admitted)

    def send(self, wanted: int) -> int:
        """How many the database admits of so many."""
        self.tell_time()
        row = self.connection.execute(
            "SELECT granted, entry, used, wait_s FROM llama_admit(%s, 'alice', %s, %s, %s, NULL)",
            [self.user, wanted, self.limit, self.window / 8],
        ).fetchone()
        assert row is not None
        granted, entry, used, wait_s = row
        if not self.set_back:
            assert used == self.used()
            free_at = sorted(at + self.window for at in self.admitted if at + self.window > self.now)
            over = used + granted - self.limit
            assert wait_s == (0 if over < 0 else (self.after(free_at, granted)[over] - self.now) / 8)
        self.admitted += [self.now] * granted
        if granted:
            self.held.append((entry, self.now))
        return int(granted)

    def after(self, free_at: list[int], granted: int) -> list[int]:
        return free_at + [self.now + self.window] * granted

    def give_back(self) -> None:
        if self.held:
            entry, at = self.held.pop()
            self.connection.execute("SELECT llama_give_back(%s, %s)", [self.user, entry])
            self.admitted.remove(at)


def run(model: Model, steps: list[tuple[str, int]], *, set_back: int = 0) -> None:
    for what, value in steps:
        model.now += 1  # two things never happen at the same moment
        match what:
            case "send":
                free = max(0, model.limit - model.used())
                granted = model.send(value)
                if set_back:
                    assert granted <= free
                else:
                    assert granted == min(value, free)
            case "wait":
                model.now += value
                model.set_back += set_back
            case "limit":
                model.limit = value
            case "window":
                model.window = value
            case "give back":
                model.give_back()


@given(steps=steps)
@example(steps=[("window", 4), ("send", 1), ("wait", 10), ("send", 1), ("window", 32), ("send", 3)])
@settings(max_examples=150)
def test_at_most_limit_in_any_window(
    connection: psycopg.Connection, steps: list[tuple[str, int]]
) -> None:
    """Exactly, whatever is asked for at a time, and while limit and window change."""
    run(Model(connection), steps)


@given(steps=steps, set_back=st.sampled_from([3, 24, 8 * 3600]))
@settings(max_examples=100)
def test_a_clock_that_is_set_back_lets_no_more_through(
    connection: psycopg.Connection, steps: list[tuple[str, int]], set_back: int
) -> None:
    """Entries of a time to come count as now: more may be refused, never less."""
    run(Model(connection), steps, set_back=set_back)
