"""Proxy, server and Postgres are killed at random during random requests, for as long as you like.

    runtime/.venv/bin/python -m tests.bench.chaos [--minutes 10] [--kill proxy,server,postgres]
                                                 [--every 4] [--outage 0] [--seed N]

Starts an appliance of its own on free ports of 127.0.0.1 and leaves nothing behind. Prints what was
sent, what was killed, and what does not add up; exits with 1 where anything does not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter

from tests.support.appliance import Appliance
from tests.support.chaos import REST_S, Storm, accounts, leaks, make_users, outage, settled

SETTINGS = {
    "LLAMA_SERVER_N_THREADS": "1",
    # All users have one address, and some send wrong keys: that must not lock out a new user.
    "LLAMA_PROXY_AUTH_FAILURES_PER_MINUTE": "0",
}


def main() -> int:
    """Run the storm; returns 1 if the records contradict what clients saw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--kill", default=",".join(REST_S), help="what is killed")
    parser.add_argument("--every", type=float, default=4.0, help="seconds between kills, on average")
    parser.add_argument("--outage", type=float, default=0.0, help="seconds without Postgres, midway")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    with Appliance(model=True, **SETTINGS) as appliance:
        appliance.start()
        users = make_users(appliance)
        storm = Storm(appliance, users, options.seed, tuple(filter(None, options.kill.split(","))))
        memory = [proxy_mb(appliance)]
        print(f"seed {options.seed}", flush=True)
        asyncio.run(everything(storm, options))
        rows = asyncio.run(settled(storm, deadline_s=120))
        wrong = accounts(storm, rows)
        memory.append(proxy_mb(appliance))
        wrong += leaks(appliance, users)
        report(storm, rows, memory)
    for line in wrong[:50]:
        print(f"WRONG {line}")
    print(f"{len(wrong)} contradictions")
    return 1 if wrong else 0


async def everything(storm: Storm, options: argparse.Namespace) -> None:
    """Run the storm, with a database outage in the middle."""
    seconds = options.minutes * 60
    async with asyncio.TaskGroup() as group:
        group.create_task(storm.run(seconds, kill_every_s=options.every if storm.victims else 0))
        if options.outage:
            await asyncio.sleep((seconds - options.outage) / 2)
            await outage(storm, options.outage)


def proxy_mb(appliance: Appliance) -> float:
    """The proxy's resident memory."""
    return float(appliance.status()["processes"]["proxy"]["memory_bytes"]) / 2**20


def report(storm: Storm, rows: list[dict[str, object]], memory: list[float]) -> None:
    """Print counts of requests, kills and rows."""
    whole = [seen for seen in storm.seen if seen.whole]
    print(f"sent {len(storm.seen)}, seen whole {len(whole)}, killed {dict(storm.kills)}")
    print("users unknown to the proxy, without a database:", dict(storm.strangers))
    print("whole, by status:", dict(sorted(Counter(seen.status for seen in whole).items())))
    print("rows", len(rows), "requests in them", sum(int(str(row["count"])) for row in rows))
    print("rows, by error:", dict(Counter(str(row["error"]) for row in rows).most_common()))
    print("proxy's memory, MB:", " -> ".join(f"{mb:.0f}" for mb in memory))


if __name__ == "__main__":
    sys.exit(main())
