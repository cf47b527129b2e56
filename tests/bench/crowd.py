"""Tokens a second and the time to the first token of one user, and of eight at once.

Ours beside the stock server with its defaults and, where it is on the PATH, llama.cpp's own llama-server
with its defaults; llama-bench, where that is, says what the model does without any server.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from statistics import median

from tests.bench.client import Streamed
from tests.bench.report import Table
from tests.bench.servers import MEDIUM, Fleet, Server, described, in_turn
from tests.bench.texts import drawer, text

ROUNDS = 5
CROWDS = (1, 8)
PROMPT, ANSWER = 100, 64
"""Tokens, the first about."""
TOOL = "llama-bench"


def measure(rounds: int, threads: int) -> list[Table]:
    """Measure the servers in turn, then the model alone."""
    with Fleet(threads=threads) as fleet:
        model = fleet.model("medium", MEDIUM)
        servers = [fleet.ours(model), fleet.defaults(model)]
        theirs = fleet.llama_server(model)
        if theirs is not None:
            servers.append(theirs)
        table = Table(
            title=f"Crowd: streams of {ANSWER} tokens, one user and {CROWDS[-1]} at once",
            columns=[server.name for server in servers],
            ratios=[("ours", server.name) for server in servers[1:]],
            notes=[described(model), *([] if theirs else ["llama-server is not on the PATH"])],
        )
        for number in range(rounds):
            for server in in_turn(servers, number):
                for users in CROWDS:
                    _ask(table, server, users, number)
        return [table, *_alone(model, rounds, threads)]


def _ask(table: Table, server: Server, users: int, number: int) -> None:
    began = time.perf_counter()
    with ThreadPoolExecutor(users) as pool:
        seeds = range(number * 100, number * 100 + users)
        answers = list(pool.map(lambda seed: _answer(server, seed), seeds))
    took_s = time.perf_counter() - began
    whole = [answer for answer in answers if answer is not None]
    table.add(f"{users} at once: tokens/s of whole answers", server.name, len(whole) * ANSWER / took_s)
    table.add(f"{users} at once: whole answers", server.name, len(whole))
    if whole:
        first_ms = median(answer.first_s for answer in whole) * 1e3
        table.add(f"{users} at once: first token, ms", server.name, first_ms)


def _answer(server: Server, seed: int) -> Streamed | None:
    """A stream; None where the server ended it before its time, as the stock one does for another."""
    content = text(drawer(seed), PROMPT)
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": ANSWER}
    try:
        answer = server.client.stream(body)
    except (AssertionError, HTTPException, OSError):
        return None
    return answer if answer.finish_reason == "length" else None


def _alone(model: Path, rounds: int, threads: int) -> list[Table]:
    """What llama-bench measures; nothing where it is not."""
    program = shutil.which(TOOL)
    if program is None:
        return []
    sizes = ["-p", str(PROMPT), "-n", str(ANSWER), "-r", str(rounds), "-t", str(threads)]
    done = subprocess.run(
        [program, "-m", str(model), *sizes, "-o", "json"], capture_output=True, text=True, check=True
    )
    table = Table(title=f"Crowd: the model alone, {TOOL}", columns=[TOOL])
    for run in json.loads(done.stdout):
        what = f"prompt of {run['n_prompt']}" if run["n_prompt"] else f"answer of {run['n_gen']}"
        table.add(f"tokens/s, {what}", TOOL, *run["samples_ts"])
    return [table]
