"""Random users for an hour: whether anything restarts, grows, or is recorded wrongly.

    ./console.sh bench soak [--minutes 60] [--pause 0.5] [--model FILE] [--seed N]

Starts an appliance of its own on free ports of 127.0.0.1 and leaves nothing behind. Ten clients of
four users stream, ask, leave in mid-answer and send what is wrong; each pauses for `--pause` seconds on
average. Prints the memory of proxy and server by the minute, and what does not add up. Exits with 1
where a process was restarted, memory grew by more than a tenth between the first tenth and the end, or
a row is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from tests.support.appliance import MODEL, Appliance
from tests.support.chaos import Storm, accounts, leaks, make_users, settled

SETTINGS = {
    # All users have one address, and some send wrong keys: that must not lock out a user.
    "LLAMA_PROXY_AUTH_FAILURES_PER_MINUTE": "0",
}
PARTS = ("proxy", "server")
GROWTH = 1.1
SLACK_MB = 8.0
"""A process may grow by this much, too: the smallest ones are small."""
Memory = dict[str, float]


def main() -> int:
    """Run the soak; returns 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="bench soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two requests")
    parser.add_argument("--model", type=Path, help="a GGUF file; a tiny one is built without it")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    with Appliance(model=options.model is None, **SETTINGS) as appliance:
        if options.model is not None:
            shutil.copy2(options.model, appliance.root / "models" / MODEL)
        appliance.start()
        users = make_users(appliance)
        storm = Storm(appliance, users, options.seed, victims=(), pause_s=options.pause)
        pids = {part: appliance.pid(part) for part in PARTS}
        memory = asyncio.run(soak(storm, options.minutes * 60))
        rows = asyncio.run(settled(storm, deadline_s=120))
        wrong = accounts(storm, rows) + grown(memory)
        wrong += [f"{part} was restarted" for part in PARTS if appliance.pid(part) != pids[part]]
        wrong += leaks(appliance, users)
    seen = [one for one in storm.seen if one.whole]
    print(f"seed {options.seed}: {len(storm.seen)} requests, {len(seen)} read to their end")
    print("by status:", dict(sorted(Counter(one.status for one in seen).items())))
    print("rows:", len(rows), "requests in them:", sum(int(str(row["count"])) for row in rows))
    for part in PARTS:
        print(f"{part}, MB:", " ".join(f"{sample[part]:.0f}" for sample in memory))
    for line in wrong[:50]:
        print(f"WRONG {line}")
    print(f"{len(wrong)} contradictions")
    return 1 if wrong else 0


async def soak(storm: Storm, seconds: float) -> list[Memory]:
    """Run the users; returns the memory of each part, in MB, about each minute."""
    memory: list[Memory] = []

    async def sample() -> None:
        while True:
            status = await asyncio.to_thread(storm.appliance.status)
            parts = status["processes"]
            memory.append({part: parts[part]["memory_bytes"] / 2**20 for part in PARTS})
            await asyncio.sleep(min(60.0, seconds / 20))

    sampling = asyncio.create_task(sample())
    await storm.run(seconds, kill_every_s=0)
    sampling.cancel()
    return memory


def grown(memory: list[Memory]) -> list[str]:
    """The parts whose memory grew, from the sample after the first tenth of the time to the last."""
    early, late = memory[len(memory) // 10 + 1], memory[-1]
    return [
        f"{part} grew from {early[part]:.0f} to {late[part]:.0f} MB"
        for part in PARTS
        if late[part] > early[part] * GROWTH + SLACK_MB
    ]


if __name__ == "__main__":
    sys.exit(main())
