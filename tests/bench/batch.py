"""What a batch costs the users beside it, and what they cost the batch.

    ./console.sh bench batch MODEL.gguf [--lines N] [--users N] [--seconds N]

Through a whole appliance of its own, in three parts: users alone, the batch alone, both. Each user sends
a short prompt, reads 32 tokens, pauses for a second, and begins again.
"""

from __future__ import annotations

import argparse
import random
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import openai

from tests.bench.batching import body
from tests.bench.client import Client
from tests.bench.report import Table
from tests.bench.through_proxy import appliance_of
from tests.support.batches import line_of, submit

LINE_TOKENS, LINE_PROMPT = 8, 12
USER_TOKENS, USER_PROMPT, PAUSE_S = 32, 40, 1.0
ALONE, BESIDE = "alone", "both"


def main(arguments: list[str]) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--users", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long the users are alone")
    options = parser.parse_args(arguments)
    table = Table(title="A batch and users beside it", columns=[ALONE, BESIDE], ratios=[(BESIDE, ALONE)])
    with appliance_of(options.model) as (appliance, server):
        clients = server.clients[: options.users]
        key = appliance.cli("create-user", "--username", "batches", "--quiet")
        with openai.OpenAI(base_url=appliance.proxy_url + "/v1", api_key=key) as openai_client:
            with users(clients) as first_s:
                time.sleep(options.seconds)
            note_users(table, ALONE, first_s)
            run_batch(table, ALONE, openai_client, options.lines)
            with users(clients) as first_s:
                run_batch(table, BESIDE, openai_client, options.lines)
            note_users(table, BESIDE, first_s)
    table.notes.append(f"{options.lines} lines of {LINE_TOKENS} tokens; {options.users} users")
    table.notes.append(f"{options.model.name}, {options.model.stat().st_size / 2**20:.0f} MiB")
    table.notes.append(shlex.join(["./console.sh", "bench", "batch", *arguments]))
    print(table.text())
    return 0


@contextmanager
def users(clients: tuple[Client, ...]) -> Iterator[list[float]]:
    """Users who ask until the block ends. Yields their times to the first token, in seconds."""
    first_s: list[float] = []
    over = threading.Event()

    def ask(client: Client, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - no secret
        while not over.wait(PAUSE_S * chance.uniform(0.5, 1.5)):
            asked = body(chance.randrange(10**6), USER_PROMPT, USER_TOKENS)
            first_s.append(client.stream(asked).first_s)

    with ThreadPoolExecutor(len(clients)) as pool:
        running = [pool.submit(ask, client, seed) for seed, client in enumerate(clients)]
        try:
            yield first_s
        finally:
            over.set()
        for one in running:
            one.result()


def note_users(table: Table, column: str, first_s: list[float]) -> None:
    """Add the users' times to the table."""
    table.add("first token, median, ms", column, median(first_s) * 1e3)
    table.add("first token, 95 %, ms", column, quantiles(first_s, n=20)[-1] * 1e3)
    table.add("users' requests", column, len(first_s))


def run_batch(table: Table, column: str, client: openai.OpenAI, n_lines: int) -> None:
    """Submit a batch, wait for its end, and add its speed to the table.

    Raises:
        AssertionError: a line has no answer.
    """
    began = time.perf_counter()
    batch = submit(
        client,
        (line_of(str(number), body(number, LINE_PROMPT, LINE_TOKENS)) for number in range(n_lines)),
    )
    while batch.status in ("validating", "in_progress", "finalizing"):
        time.sleep(1)
        batch = client.batches.retrieve(batch.id)
    took_s = time.perf_counter() - began
    assert batch.status == "completed", batch
    assert batch.request_counts is not None
    assert batch.request_counts.completed == n_lines, batch.request_counts
    table.add("the batch, tokens/s", column, n_lines * LINE_TOKENS / took_s)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
