"""What several engines cost the proxy, and what it gains that a conversation stays with its engine.

    ./console.sh bench backends [--requests N] [--rounds N]

Cost: microseconds of the proxy's processor time for a small chat request, in front of 1, 3 and 100
backends (all are one mock engine; health is asked of each). Conversations: how much of the prompts of
later turns two real engines have evaluated already, with the table of conversations and without it. The
engines share this machine's cores: throughput is not measured here.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

import uvloop

from proxy.database.pool import connect
from proxy.database.schema import migrate
from proxy.identity import users
from proxy.scheduling.conversations import Conversations
from proxy.settings import BackendSettings, ProxySettings
from tests.bench.gateway.targets import chat_body
from tests.support.engine import API_KEY, Engine
from tests.support.gguf import SLOW, build_model
from tests.support.mock_engine import mock_engine
from tests.support.postgres import Postgres
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.wait import until

SIZES = (1, 3, 100)
CONVERSATIONS, TURNS = 4, 4
WORDS = 60
WARM_UP = 200


def _ask(port: int, key: str, count: int) -> None:
    """One small request after the other on one connection."""
    body = chat_body("Hello").encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        for _ in range(count):
            connection.sendall(head.encode() + body)
            answer = b""
            while not answer.endswith(b"}}"):
                more = connection.recv(65_536)
                assert more, answer
                answer += more


def _backends(*urls: str) -> tuple[BackendSettings, ...]:
    return tuple(BackendSettings(url=url, key=API_KEY, slots=4) for url in urls)


async def cost_us(settings: ProxySettings, key: str, engine: str, count: int, requests: int) -> float:
    """Processor time of the proxy for a request in front of so many backends."""
    if count > 1:
        settings = replace(settings, backends=_backends(*[f"{engine}/{n}" for n in range(count)]))
    async with running_proxy(settings) as proxy:
        turns = proxy.app.turns
        await until(lambda: sum(one.usable for one in turns.backends) == count, "all to be known")
        port = int(proxy.url.rsplit(":", 1)[1])
        await asyncio.to_thread(_ask, port, key, WARM_UP)
        began = time.thread_time()
        await asyncio.to_thread(_ask, port, key, requests)
        return (time.thread_time() - began) / requests * 1e6


async def _turn(proxy: RunningProxy, key: str, said: list[dict[str, str]]) -> float:
    """The part of a prompt that the engine had evaluated before. The answer is added."""
    async with proxy.chat(key, messages=said, max_tokens=4, temperature=0) as response:
        answer = await response.json()
        assert response.status == 200, answer
    said.append({"role": "assistant", "content": "yes"})
    usage = answer["usage"]
    return float(usage["prompt_tokens_details"]["cached_tokens"] / usage["prompt_tokens"])


async def conversations(settings: ProxySettings, key: str, engines: list[Engine]) -> list[float]:
    """The evaluated parts of the prompts of later turns, of conversations that take turns."""
    found: list[float] = []
    backends = tuple(BackendSettings(url=engine.url, key=API_KEY) for engine in engines)
    async with running_proxy(replace(settings, backends=backends)) as proxy:
        turns = proxy.app.turns
        await until(lambda: all(one.usable for one in turns.backends), "both to be known")
        texts = [
            [{"role": "user", "content": " ".join(f"{number} word{word}" for word in range(WORDS))}]
            for number in range(CONVERSATIONS)
        ]
        for turn in range(TURNS):
            for number in range(CONVERSATIONS - 1 if turn % 2 else CONVERSATIONS):
                evaluated = await _turn(proxy, key, texts[number])
                if turn:
                    found.append(evaluated)
                texts[number].append({"role": "user", "content": f"And then {turn}?"})
    return found


async def measure(requests: int, rounds: int) -> None:
    """Measure both, and print."""
    with Postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        url = postgres.fresh_database()
        with connect(url, application="bench") as connection:
            migrate(connection)
            key = users.create_user(connection, username="alice", rate_limit=10**9).key
        with mock_engine() as engine:
            settings = settings_for(database_url=url, backend_url=engine, directory=Path(folder) / "a")
            found: dict[int, list[float]] = {count: [] for count in SIZES}
            for _ in range(rounds):
                for count, each in found.items():
                    each.append(await cost_us(settings, key, engine, count, requests))
            for count, each in found.items():
                print(
                    f"{count:3} backends: {median(each):.0f} us of the proxy for a request", flush=True
                )
        model = Path(folder) / "slow.gguf"
        build_model(model, shape=SLOW)
        with Engine(Path(folder) / "one", model) as one, Engine(Path(folder) / "two", model) as two:
            engines = [one.start(), two.start()]
            settings = settings_for(database_url=url, backend_url="", directory=Path(folder) / "b")
            with_table = await conversations(settings, key, engines)
            find, Conversations.find = Conversations.find, lambda *_: None  # type: ignore[method-assign]
            without = await conversations(settings, key, engines)
            Conversations.find = find  # type: ignore[method-assign]
        print(f"evaluated before: {mean(with_table):.0%}, without the table {mean(without):.0%}")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000, help="for each cost")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    uvloop.run(measure(arguments.requests, arguments.rounds))


if __name__ == "__main__":
    main()
