"""The time to the first token of one user whose prompts share nothing, ours beside the stock app.

Each prompt drives the one before out of the model, whose state ours saves first. That takes longest
while the memory for saved states is filled for the first time, so ours is measured three times: so, with
memory that has all been used before (a small bound), and with saving off.
"""

from __future__ import annotations

from tests.bench.client import Body
from tests.bench.report import Table
from tests.bench.servers import MEDIUM, Fleet, Server, described, in_turn
from tests.bench.texts import drawer, text

ROUNDS = 11
ANSWER = 64
"""Tokens."""
PROMPTS = (20, 1000)
"""Tokens, about."""
BOUND_BYTES = 100 * 2**20
FILLING = 8
"""Requests after which so many bytes have been used."""


def measure(rounds: int, threads: int) -> list[Table]:
    """Measure all four in turn, with one model."""
    with Fleet(threads=threads) as fleet:
        model = fleet.model("medium", MEDIUM)
        servers = [
            fleet.ours(model),
            fleet.ours(model, name="ours, memory used before", cache_bytes=BOUND_BYTES),
            fleet.ours(model, name="ours, CACHE_BYTES=0", cache_bytes=0),
            fleet.bare(model),
        ]
        table = Table(
            title="First token: prompts that share nothing",
            columns=[server.name for server in servers],
            ratios=[(server.name, "stock") for server in servers[:-1]],
            notes=[described(model), f"each answer has {ANSWER} tokens"],
        )
        for number in range(FILLING):
            servers[1].client.stream(_body(number + 1000, max(PROMPTS)))
        for number in range(rounds):
            for server in in_turn(servers, number):
                _ask(table, server, number)
    return [table]


def _ask(table: Table, server: Server, number: int) -> None:
    for tokens in PROMPTS:
        answer = server.client.stream(_body(number * 10_000 + tokens, tokens))
        table.add(f"{tokens}-token prompt, ms", server.name, answer.first_s * 1e3)


def _body(seed: int, tokens: int) -> Body:
    content = text(drawer(seed), tokens)
    return {"messages": [{"role": "user", "content": content}], "max_tokens": ANSWER}
