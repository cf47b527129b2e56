"""Two long conversations that take turns: seconds until the first token of each one's later turns.

Beside them, the same two conversations one after the other, as a single user would have them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from tests.bench.report import Table
from tests.bench.servers import MEDIUM, Fleet, Server, described, in_turn
from tests.bench.texts import drawer, text

ROUNDS = 3
TURNS = 5
FIRST_TOKENS = 1500
QUESTION_TOKENS = 40
ANSWER_TOKENS = 16
CONVERSATIONS = 2
SMALL_BOUND = 100 * 2**20
"""Holds two conversations of the size they have here, not four."""
_SAVED = "llama_prefix_cache_bytes"
_MIB = 2**20


class Conversation:
    """One that grows by an answer and a question each turn."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._messages = [{"role": "system", "content": text(draw, FIRST_TOKENS)}]

    def turn(self, server: Server) -> float:
        """Ask a question more; seconds until the answer's first token."""
        self._messages.append({"role": "user", "content": text(self._draw, QUESTION_TOKENS)})
        answer = server.client.stream({"messages": self._messages, "max_tokens": ANSWER_TOKENS})
        self._messages.append({"role": "assistant", "content": answer.text})
        return answer.first_s


def measure(rounds: int, threads: int) -> list[Table]:
    """Measure our engine and the stock server, each with saved states and without."""
    with Fleet(threads=threads) as fleet:
        model = fleet.model("medium", MEDIUM)
        servers = [
            fleet.ours(model),
            fleet.ours(model, name="ours, CACHE_BYTES=0", cache_bytes=0),
            fleet.bare(model),
            fleet.bare(model, name="stock, cache=true", cache=True, cache_size=2**30),
        ]
        table = Table(
            title=f"Turns: seconds until the first token, {TURNS} turns each, the first left out",
            columns=["alternating", "single user", "first turn"],
            ratios=[("alternating", "single user")],
            notes=[described(model), _size(servers[0])],
        )
        for number in range(rounds):
            for server in in_turn(servers, number):
                _compare(table, server, seed=number)
        return [table, _beside(table), _bounds(fleet, model)]


def _compare(table: Table, server: Server, *, seed: int) -> None:
    """The same texts for all servers, other ones each round and for each of the two ways."""
    alternating = alternate(server, _conversations(f"alternating {seed}", CONVERSATIONS))
    single = [alternate(server, [one]) for one in _conversations(f"single {seed}", CONVERSATIONS)]
    for conversation in (*alternating, *(alone for (alone,) in single)):
        table.add(server.name, "first turn", conversation[0])
    for conversation in alternating:
        table.add(server.name, "alternating", *conversation[1:])
    for (conversation,) in single:
        table.add(server.name, "single user", *conversation[1:])


def alternate(server: Server, conversations: Sequence[Conversation]) -> list[list[float]]:
    """Let conversations take turns; for each, the seconds until the first token of its turns."""
    turns = [[one.turn(server) for one in conversations] for _ in range(TURNS)]
    return [list(conversation) for conversation in zip(*turns, strict=True)]


def _conversations(seed: str, count: int) -> list[Conversation]:
    return [Conversation(drawer(f"{seed} {number}")) for number in range(count)]


def _size(server: Server) -> str:
    body = {"role": "system", "content": text(drawer(0), FIRST_TOKENS)}
    first = server.client.whole({"messages": [body], "max_tokens": 1})
    return (
        f"each conversation begins with {first.prompt_tokens:,} tokens and grows by about "
        f"{QUESTION_TOKENS + 4 * ANSWER_TOKENS} a turn; {CONVERSATIONS} of them"
    )


def _beside(table: Table) -> Table:
    """The same samples, server beside server."""
    names = list(table.rows)
    beside = Table(
        title="Turns: the same, ours beside stock",
        columns=names,
        ratios=[("ours", name) for name in names[1:]],
    )
    for row in ("alternating", "single user"):
        for name in names:
            beside.add(row, name, *table.rows[name][row])
    return beside


def _bounds(fleet: Fleet, model: Path) -> Table:
    """What is saved at most when four conversations take turns, by bound."""
    table = Table(
        title="Turns: MiB of saved states of four conversations that take turns",
        columns=["bound", "most saved", "memory grown by", "alternating, s"],
        ratios=[("most saved", "bound")],
        notes=[f"most saved: the metric {_SAVED} after each turn", "memory: resident, the file's aside"],
    )
    for bound in (2**30, SMALL_BOUND, 0):
        server = fleet.ours(model, cache_bytes=bound)
        _fill(server)
        before = server.resident_bytes()
        saved, first_s = _saved_by(server)
        row = f"CACHE_BYTES={bound}"
        table.add(row, "bound", bound / _MIB)
        table.add(row, "most saved", saved / _MIB)
        table.add(row, "alternating, s", *first_s)
        after = server.resident_bytes()
        if before is not None and after is not None:
            table.add(row, "memory grown by", (after - before) / _MIB)
        assert saved <= bound, f"{saved} bytes saved, {bound} allowed"
    return table


def _fill(server: Server) -> None:
    """Have the context's own memory touched, all that will be used."""
    draw = drawer(3)
    question = {"role": "user", "content": text(draw, FIRST_TOKENS + TURNS * 150)}
    server.client.whole({"messages": [question], "max_tokens": 1})


def _saved_by(server: Server) -> tuple[float, list[float]]:
    """The most that was saved, and the seconds until the first token of all later turns."""
    conversations = _conversations("bounds", 4)
    saved, first_s = 0.0, []
    for number in range(TURNS):
        for one in conversations:
            seconds = one.turn(server)
            first_s += [seconds] if number else []
            saved = max(saved, server.client.metric(_SAVED))
    return saved, first_s
