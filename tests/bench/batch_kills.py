"""A batch while proxy, server and Postgres are killed at random: each line has one result.

    runtime/.venv/bin/python -m tests.bench.batch_kills [--lines 300] [--kill proxy,server,postgres]
                                                       [--every 5] [--seed N]

Starts an appliance of its own on free ports of 127.0.0.1 and leaves nothing behind. Prints what was
killed and how often lines were run; exits with 1 where a line has no result, or more than one.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter

import openai

from tests.support.appliance import Appliance
from tests.support.batches import attempts_of, questions, results_of, submit, wrong_results
from tests.support.chaos import database_url_of

DEADLINE_S = 600.0
PASSING = (openai.APIConnectionError, openai.InternalServerError)


def main() -> int:
    """Run a batch and kill; returns 1 if a line has not exactly one result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=300)
    parser.add_argument("--kill", default="proxy,server,postgres", help="what is killed")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between kills, on average")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    with Appliance(model=True, LLAMA_SERVER_N_THREADS="1") as appliance:
        appliance.start()
        key = appliance.cli("create-user", "--username", "ann", "--quiet")
        print(f"seed {options.seed}", flush=True)
        with openai.OpenAI(base_url=appliance.proxy_url + "/v1", api_key=key, timeout=10) as client:
            batch, kills = storm(appliance, client, options)
            appliance.until_well(deadline_s=60)
            wrong = check(appliance, client, batch, options.lines)
    print(f"killed: {dict(kills)}")
    for line in wrong:
        print(f"WRONG {line}")
    return 1 if wrong else 0


def storm(
    appliance: Appliance, client: openai.OpenAI, options: argparse.Namespace
) -> tuple[str, Counter[str]]:
    """Submit a batch and kill until it has ended. Returns its id, and what was killed."""
    chance, kills = random.Random(options.seed), Counter[str]()  # noqa: S311 - no secret
    batch = submit(client, questions(options.lines, max_tokens=60))
    over = time.monotonic() + DEADLINE_S
    while time.monotonic() < over:
        time.sleep(chance.uniform(0.5, 1.5) * options.every)
        try:
            state = client.batches.retrieve(batch.id)
        except PASSING:
            continue
        print(state.status, state.request_counts, flush=True)
        if state.status not in ("validating", "in_progress"):
            break
        victim = chance.choice(options.kill.split(","))
        if appliance.pid(victim):
            appliance.kill(victim)
            kills[victim] += 1
    return batch.id, kills


def check(appliance: Appliance, client: openai.OpenAI, batch_id: str, lines: int) -> list[str]:
    """What is wrong with the results."""
    batch = client.batches.retrieve(batch_id)
    results = results_of(client, batch)
    statuses = Counter(one["response"] and one["response"]["status_code"] for one in results)
    attempts = attempts_of(database_url_of(appliance), batch_id)
    print(f"{batch.status}; results by status: {dict(statuses)}; attempts by status: {attempts}")
    return wrong_results(batch, results, lines)


if __name__ == "__main__":
    sys.exit(main())
