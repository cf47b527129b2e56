"""Seconds from a client's leaving until the model is free: a probe sent at once has its one token.

The client leaves in the midst of a long answer, or of a long prompt's evaluation, streaming or not. On
the stock server an abandoned answer may go on to its end: its length is bounded here, in real use only
the context bounds it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tests.bench.report import Table
from tests.bench.servers import MEDIUM, Fleet, Server, described, in_turn
from tests.bench.texts import drawer, text

ROUNDS = 3
ANSWER_TOKENS = 1000
PROMPT_TOKENS = 4000
_PIECES = 50
_AFTER_S = 1.0
_ALONE = "(nobody leaves: the probe alone)"
Leave = Callable[[Server, random.Random], None]


def measure(rounds: int, threads: int) -> list[Table]:
    """Measure our engine, the stock server with our settings, and the same with its interruptions."""
    with Fleet(threads=threads) as fleet:
        model = fleet.model("medium", MEDIUM)
        servers = [
            fleet.ours(model),
            fleet.bare(model),
            fleet.bare(model, name="stock, interrupting", interrupt_requests=True),
        ]
        table = Table(
            title="Leaving: seconds until the model is free",
            columns=[server.name for server in servers],
            ratios=[("ours", "stock"), ("ours", "stock, interrupting")],
            notes=[described(model), *_notes(servers[0])],
        )
        draw = drawer(1)
        for number in range(rounds):
            for case, leave in _CASES.items():
                for server in in_turn(servers, number):
                    table.add(case, server.name, _free_after(server, leave, draw))
    return [table]


def _free_after(server: Server, leave: Leave, draw: random.Random) -> float:
    leave(server, draw)
    began = time.perf_counter()
    server.client.whole(_body(text(draw, 8), max_tokens=1))
    return time.perf_counter() - began


def _body(content: str, *, max_tokens: int = ANSWER_TOKENS) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": content}], "max_tokens": max_tokens}


def _nobody(server: Server, draw: random.Random) -> None:
    """The probe's own time, after a short answer."""
    server.client.whole(_body(text(draw, 8), max_tokens=1))


def _answer_streamed(server: Server, draw: random.Random) -> None:
    server.client.leave_stream(_body(text(draw, 8)), pieces=_PIECES)


def _answer_whole(server: Server, draw: random.Random) -> None:
    server.client.leave(_body(text(draw, 8)), after_s=_AFTER_S)


def _prompt_streamed(server: Server, draw: random.Random) -> None:
    body = {**_body(text(draw, PROMPT_TOKENS)), "stream": True}
    server.client.leave(body, after_s=_AFTER_S)


def _prompt_whole(server: Server, draw: random.Random) -> None:
    server.client.leave(_body(text(draw, PROMPT_TOKENS)), after_s=_AFTER_S)


_CASES: dict[str, Leave] = {
    _ALONE: _nobody,
    "in an answer, streaming": _answer_streamed,
    "in an answer, not streaming": _answer_whole,
    "in a prompt, streaming": _prompt_streamed,
    "in a prompt, not streaming": _prompt_whole,
}


def _notes(server: Server) -> list[str]:
    draw = drawer(2)
    prompt = server.client.whole(_body(text(draw, PROMPT_TOKENS), max_tokens=1))
    answer = server.client.stream(_body(text(draw, 8)))
    return [
        f"undisturbed, a prompt of {prompt.prompt_tokens:,} tokens takes {prompt.total_s:.1f} s and an "
        f"answer of {ANSWER_TOKENS:,} {answer.last_s:.1f} s; the client leaves a stream after "
        f"{_PIECES} tokens, else after {_AFTER_S:g} s",
        f"stock generates on to the end for a client that left without streaming: {ANSWER_TOKENS:,} "
        "tokens here; where a request leaves its length open, until the context is full",
    ]
