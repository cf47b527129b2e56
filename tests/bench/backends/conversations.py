"""Time to the first token of later turns, with the memory of conversations' engines and without it.

Several conversations take turns, in an order that is drawn anew each time, one request at a time, at two
engines. The engines have a core each, as only one works at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any
from unittest.mock import patch

from proxy.database.pool import connect
from proxy.database.schema import migrate
from proxy.identity import users
from proxy.scheduling.conversations import Conversations
from proxy.settings import BackendSettings, ProxySettings
from tests.bench.servers import MEDIUM
from tests.bench.texts import drawer, text
from tests.support.engine import API_KEY, Engine
from tests.support.gguf import build_model
from tests.support.postgres import Postgres
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.wait import until

CONVERSATIONS, TURNS = 4, 4
FIRST, FURTHER, ANSWER = 600, 40, 8
"""Tokens of the first question, of each further one, and of an answer."""
WITH, WITHOUT = "with the memory of engines", "without it"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A later turn: seconds until its first token, and the part of its prompt that was evaluated."""

    first_s: float
    known: float


def measure(arguments: argparse.Namespace) -> None:
    """Measure, and print."""
    with _engines() as (engines, settings, key):
        found: dict[str, list[Turn]] = {WITH: [], WITHOUT: []}
        for number in range(arguments.rounds):
            found[WITH] += asyncio.run(_round(settings, key, engines, f"{number} with"))
            with patch.object(Conversations, "find", lambda *_: None):
                found[WITHOUT] += asyncio.run(_round(settings, key, engines, f"{number} without"))
    for name, turns in found.items():
        firsts = sorted(one.first_s for one in turns)
        most, known = firsts[int(0.95 * len(firsts))], mean(one.known for one in turns)
        print(
            f"{name}: first token after {median(firsts):.2f} s (mean {mean(firsts):.2f}, 95 %"
            f" {most:.2f}), {known:.0%} of the prompts evaluated before"
        )


@contextmanager
def _engines() -> Iterator[tuple[list[Engine], ProxySettings, str]]:
    with Postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        url = postgres.fresh_database()
        with connect(url, application="bench") as connection:
            migrate(connection)
            key = users.create_user(connection, username="alice", rate_limit=10**9).key
        model = Path(folder) / "medium.gguf"
        build_model(model, shape=MEDIUM)
        slots = {"LLAMA_SERVER_PARALLEL": str(CONVERSATIONS)}
        with (
            Engine(Path(folder) / "one", model, env=slots) as one,
            Engine(Path(folder) / "two", model, env=slots) as two,
        ):
            engines = [one.start(), two.start()]
            settings = settings_for(database_url=url, backend_url="", directory=Path(folder))
            backends = tuple(BackendSettings(url=engine.url, key=API_KEY) for engine in engines)
            yield engines, replace(settings, backends=backends), key


async def _round(settings: ProxySettings, key: str, engines: list[Engine], seed: str) -> list[Turn]:
    draw, found = drawer(seed), []
    async with running_proxy(settings) as proxy:
        turns = proxy.app.turns
        await until(lambda: sum(one.usable for one in turns.backends) == len(engines), "both")
        said: list[list[dict[str, str]]] = [[] for _ in range(CONVERSATIONS)]
        for number in range(TURNS):
            for messages in draw.sample(said, k=len(said)):
                question = text(draw, FURTHER if number else FIRST)
                messages.append({"role": "user", "content": question})
                turn = await _turn(proxy, key, messages)
                if number:
                    found.append(turn)
    return found


async def _turn(proxy: RunningProxy, key: str, messages: list[dict[str, str]]) -> Turn:
    """Send a conversation's next request. The answer is added."""
    answer, first_s, began = "", 0.0, time.monotonic()
    usage: dict[str, Any] = {}
    fields = {"max_tokens": ANSWER, "stream": True, "stream_options": {"include_usage": True}}
    async with proxy.chat(key, messages=messages, **fields) as response:
        assert response.status == 200, await response.text()
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line.removeprefix(b"data: "))
            usage = chunk.get("usage") or usage
            if chunk["choices"] and (piece := chunk["choices"][0]["delta"].get("content")):
                first_s = first_s or time.monotonic() - began
                answer += piece
    messages.append({"role": "assistant", "content": answer})
    cached: int = usage["prompt_tokens_details"]["cached_tokens"]
    return Turn(first_s=first_s, known=cached / usage["prompt_tokens"])
