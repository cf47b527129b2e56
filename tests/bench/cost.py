"""What the guards cost one user: tokens a second and the time to the first token.

Our engine beside the stock app at the same settings, and beside the stock server as it comes. Answers
held to a JSON schema too: llguidance in ours, llama.cpp's own grammar sampler in stock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.client import Body, Streamed
from tests.bench.report import Table
from tests.bench.servers import MEDIUM, Fleet, Server, described, in_turn
from tests.bench.texts import drawer, text, vocabulary
from tests.support.gguf import TINY, Shape

ROUNDS = 7
LONG, SHORT = 256, 16
"""Tokens of an answer."""
WORDY = Shape(layers=12, width=256, heads=4, feed_forward=768)
"""With 32,000 tokens it is about as large as MEDIUM."""
VOCABULARY = 32_000
SCHEMA = {
    "type": "object",
    "properties": {
        "people": {
            "type": "array",
            "minItems": 50,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": 40},
                    "age": {"type": "integer"},
                    "kind": {"enum": ["employee", "guest", "other"]},
                },
                "required": ["name", "age", "kind"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["people"],
    "additionalProperties": False,
}
Measure = Callable[[Table, Server, int], None]


def measure(rounds: int, threads: int) -> list[Table]:
    """Measure with a model of an ordinary kind, with one so small that little else than the servers'
    own work is left, and with answers that must fit a schema."""
    with Fleet(threads=threads) as fleet:
        medium, tiny = fleet.model("medium", MEDIUM), fleet.model("tiny", TINY)
        wordy = fleet.model("wordy", WORDY, vocabulary(VOCABULARY))
        return [
            _table(fleet, medium, rounds, "Cost: one user, ordinary model", _plain),
            _table(fleet, tiny, rounds, "Cost: one user, tiny model", _plain),
            _table(fleet, wordy, rounds, "Cost: answers that fit a JSON schema", _constrained),
        ]


def _table(fleet: Fleet, model: Path, rounds: int, title: str, measure_one: Measure) -> Table:
    servers = [fleet.ours(model), fleet.bare(model), fleet.defaults(model)]
    table = Table(
        title=title,
        columns=[server.name for server in servers],
        ratios=[("ours", server.name) for server in servers[1:]],
        notes=[described(model)],
    )
    for number in range(rounds):
        for server in in_turn(servers, number):
            measure_one(table, server, number)
    return table


def _plain(table: Table, server: Server, number: int) -> None:
    draw = drawer(number)
    for characters in (20, 1000):
        answer = server.client.stream(_body(text(draw, characters), SHORT))
        table.add(f"first token, ms, {characters}-token prompt", server.name, answer.first_s * 1e3)
    answer = server.client.stream(_body(text(draw, 20), LONG))
    table.add("tokens/s, streaming", server.name, (LONG - 1) / (answer.last_s - answer.first_s))
    before = server.cpu_s()
    whole = server.client.whole(_body(text(draw, 20), LONG))
    table.add("tokens/s, not streaming", server.name, whole.completion_tokens / whole.total_s)
    after = server.cpu_s()
    if before is not None and after is not None:
        spent_ms = (after - before) / whole.completion_tokens * 1e3
        table.add("processor ms a token, not streaming", server.name, spent_ms)


def _constrained(table: Table, server: Server, number: int) -> None:
    """The schema is another one each time: none is known from before."""
    draw = drawer(number)
    free = server.client.stream(_body(text(draw, 20), LONG))
    form = _format(server, {**SCHEMA, "title": text(draw, 20)})
    held = server.client.stream({**_body(text(draw, 20), LONG), "response_format": form})
    assert held.finish_reason == "length", held
    for kind, answer in (("free", free), ("to a schema", held)):
        table.add(f"{kind}: first token, ms", server.name, answer.first_s * 1e3)
        table.add(f"{kind}: ms for each further token", server.name, _further_ms(answer))
    table.add("the schema adds, ms a token", server.name, _further_ms(held) - _further_ms(free))


def _further_ms(answer: Streamed) -> float:
    return (answer.last_s - answer.first_s) / (LONG - 1) * 1e3


def _format(server: Server, schema: object) -> dict[str, object]:
    """Stock knows no json_schema."""
    if server.name == "ours":
        return {"type": "json_schema", "json_schema": {"name": "people", "schema": schema}}
    return {"type": "json_object", "schema": schema}


def _body(content: str, max_tokens: int) -> Body:
    return {"messages": [{"role": "user", "content": content}], "max_tokens": max_tokens}
