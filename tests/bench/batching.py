"""Many at once: what the engine's scheduler gives eight users, a newcomer, and conversations by turns.

Ours beside llama.cpp's own `llama-server --parallel 8` where that is on the PATH, with the same file and
context. `--model FILE` measures a real model; otherwise it is one of random weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from tests.bench.client import Body, Streamed
from tests.bench.report import Table
from tests.bench.servers import Fleet, Server, described, in_turn
from tests.bench.texts import drawer, text
from tests.support.gguf import TINY, Shape

ROUNDS = 3
LARGE = Shape(layers=16, width=896, heads=14, feed_forward=2560)
"""About 170 million parameters; in Q8_0."""
SLOTS = 8
CONTEXT = 4096
"""Tokens of each slot."""
RESPONSE = 128
N_PROMPT, LONG_PROMPT, SHORT_PROMPT, SYSTEM_PROMPT = 1000, 2500, 40, 900
"""Tokens, about."""
TURNS = 4
Scenario = Callable[[Table, Server, int], None]


def measure(rounds: int, threads: int, model: Path | None) -> list[Table]:
    """Measure the servers in turn, scenario by scenario."""
    with Fleet(threads=threads) as fleet:
        path = model or fleet.model("large", LARGE, quantized=True)
        table = _beside(fleet, path, rounds)
        shared = _shared(fleet, path, rounds)
        copying = _copying(fleet, path, rounds)
        framing = _framing(fleet, rounds)
        table.notes.append(described(path))
    return [table, shared, copying, framing]


def _beside(fleet: Fleet, model: Path, rounds: int) -> Table:
    servers = [fleet.ours(model, parallel=SLOTS, n_ctx=CONTEXT)]
    arguments = ["--parallel", str(SLOTS), "--ctx-size", str(SLOTS * CONTEXT), "--no-webui"]
    theirs = fleet.llama_server(model, *arguments)
    if theirs is not None:
        servers.append(theirs)
    table = Table(
        title=f"Many at once: streams of {RESPONSE} tokens, {SLOTS} slots",
        columns=[server.name for server in servers],
        ratios=[("ours", server.name) for server in servers[1:]],
        notes=[] if theirs else ["llama-server is not on the PATH"],
    )
    scenarios: list[Scenario] = [crowd_of(users) for users in (SLOTS, 2, 1)]
    scenarios.append(crowd_of(SLOTS, N_PROMPT))
    for number in range(rounds):
        for scenario in [*scenarios, _newcomer, _conversations]:
            for server in in_turn(servers, number):
                scenario(table, server, number)
    return table


def body(seed: int, n_prompt: int, n_response: int = RESPONSE) -> Body:
    return {
        "messages": [{"role": "user", "content": text(drawer(seed), n_prompt)}],
        "max_tokens": n_response,
        "min_tokens": n_response,  # ours
        "ignore_eos": True,  # llama-server's
        "seed": seed,
    }


def crowd_of(users: int, n_prompt: int = 60) -> Scenario:
    """So many users at once, each with a prompt of their own, of about `n_prompt` tokens."""

    def scenario(table: Table, server: Server, number: int) -> None:
        began, cpu_s = time.perf_counter(), server.cpu_s()
        with ThreadPoolExecutor(users) as pool:
            seeds = range(number * 100 + users * 10_000, number * 100 + users * 10_000 + users)
            clients = [server.clients[user % len(server.clients)] for user in range(users)]
            asked = zip(clients, seeds, strict=True)
            streams = list(pool.map(lambda one: one[0].stream(body(one[1], n_prompt)), asked))
        took_s = time.perf_counter() - began
        label = f"{users} users" if users > 1 else "1 user"
        if n_prompt > 60:
            label += f", prompts of {n_prompt}"
        table.add(f"{label}: tokens/s", server.name, users * RESPONSE / took_s)
        table.add(f"{label}: first token, at most, ms", server.name, _first_ms(streams))
        if cpu_s is not None and (after := server.cpu_s()) is not None:
            cpu_ms = (after - cpu_s) * 1e3 / (users * RESPONSE)
            table.add(f"{label}: CPU ms a token", server.name, cpu_ms)

    return scenario


def _first_ms(streams: list[Streamed]) -> float:
    return max(stream.first_s for stream in streams) * 1e3


def _newcomer(table: Table, server: Server, number: int) -> None:
    """Six generate, a long prompt has just come, then a short one of another user."""
    seed = number * 100 + 500_000
    started = Event()

    def stream(offset: int) -> Streamed:
        return server.client.stream(body(seed + offset, 40, 400), on_text=started.set)

    with ThreadPoolExecutor(SLOTS) as pool:
        others = [pool.submit(stream, offset) for offset in range(6)]
        started.wait(60)
        time.sleep(1)
        long = pool.submit(server.client.stream, body(seed + 7, LONG_PROMPT, 8))
        time.sleep(0.2)
        short = server.client.stream(body(seed + 8, SHORT_PROMPT, 8), user="newcomer")
        table.add("newcomer: first token, ms", server.name, short.first_s * 1e3)
        table.add("the long prompt's first token, ms", server.name, long.result().first_s * 1e3)
        gap_s = max(other.result().longest_gap_s for other in others)
        table.add("the others' longest gap, ms", server.name, gap_s * 1e3)


def _conversations(table: Table, server: Server, number: int) -> None:
    """Eight conversations by turns, and one alone: the time to the first token of the last turn."""
    for users, label in ((1, "one conversation"), (SLOTS, f"{SLOTS} conversations in turn")):
        chats = [
            [{"role": "user", "content": text(drawer(number * 1000 + users * 100 + user), 300)}]
            for user in range(users)
        ]
        times: list[float] = []
        for _ in range(TURNS):
            times = []
            for user, messages in enumerate(chats):
                asked = {**body(user, 1, 24), "messages": messages}
                stream = server.client.stream(asked, user=f"{label} {user}")
                times.append(stream.first_s)
                messages += [
                    {"role": "assistant", "content": stream.text},
                    {"role": "user", "content": "go on"},
                ]
        table.add(f"{label}: first token of turn {TURNS}, ms", server.name, max(times) * 1e3)


def _shared(fleet: Fleet, model: Path, rounds: int) -> Table:
    """Three users at once with the same system message, declared shared and not."""
    servers = [
        fleet.ours(model, name=mode, parallel=SLOTS, n_ctx=CONTEXT, shared_prefix=mode)
        for mode in ("none", "system")
    ]
    table = Table(
        title="Prompt tokens evaluated for three users with one system message, by what is shared",
        columns=[server.name for server in servers],
        ratios=[("system", "none")],
    )
    for number in range(rounds):
        system = {"role": "system", "content": text(drawer(number + 900_000), SYSTEM_PROMPT)}

        def ask(user: int, server: Server, system: dict[str, str] = system) -> None:
            messages = [system, {"role": "user", "content": f"I am number {user}."}]
            server.client.stream({"messages": messages, "max_tokens": 4}, user=str(user))

        for server in servers:
            before = _evaluated(server)
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(ask, range(3), [server] * 3))
            table.add("prompt tokens evaluated", server.name, _evaluated(server) - before)
    return table


def _evaluated(server: Server) -> float:
    metric = server.client.metric
    return metric("llama_prompt_tokens_total") - metric("llama_prompt_tokens_cached_total")


def _copying(fleet: Fleet, model: Path, rounds: int) -> Table:
    """One user has a text copied, with prompt lookup and without. A random model copies nothing: there
    a grammar has it repeat the text."""
    servers = [
        fleet.ours(model, name=name, parallel=1, n_ctx=CONTEXT, prompt_lookup=switch)
        for name, switch in (("lookup", 1), ("no lookup", 0))
    ]
    table = Table(
        title="A text copied by one user, tokens/s",
        columns=[server.name for server in servers],
        ratios=[("lookup", "no lookup")],
    )
    for number in range(rounds):
        words = text(drawer(number + 700_000), 300)
        messages = [{"role": "user", "content": f"Repeat this text: {words}"}]
        body = {"messages": messages, "max_tokens": 400, "temperature": 0}
        for server in servers:
            for kind, more in (("freely", {}), ("by a grammar", {"grammar": f'root ::= "{words}"'})):
                before = server.client.metric("llama_generated_tokens_total")
                stream = server.client.stream({**body, **more})
                tokens = server.client.metric("llama_generated_tokens_total") - before
                table.add(kind, server.name, tokens / (stream.last_s - stream.first_s))
    return table


def _framing(fleet: Fleet, rounds: int) -> Table:
    """With a model so small that little is left but the engine's own work."""
    server = fleet.ours(fleet.model("tiny", TINY), parallel=SLOTS, n_ctx=CONTEXT, n_threads=1)
    table = Table(title="The engine's own work: CPU ms a streamed token, tiny model", columns=["ours"])
    for number in range(rounds):
        for users in (1, SLOTS):
            before = server.cpu_s()
            with ThreadPoolExecutor(users) as pool:
                bodies = [body(number * 100 + user, 20, 1000) for user in range(users)]
                list(pool.map(server.client.stream, bodies))
            after = server.cpu_s()
            if before is not None and after is not None:
                table.add(f"{users} at once", "ours", (after - before) * 1e3 / (users * 1000))
    return table
