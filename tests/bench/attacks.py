"""How the proxy answers each attack on its HTTP parser, as a table in Markdown.

    runtime/.venv/bin/python -m tests.bench.attacks [fuzz SECONDS [SEED]]

Without arguments the table: attack, answers, whether the connection is closed then, what reached the
engine. `fuzz` sends valid requests with random changes for so long, and counts: every answer below 400
must be of a request that reached the engine, and of one that the sender can have meant.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from tests.support.attacked import Attacked, attacked_proxy
from tests.support.attacks import ATTACKS, Attack
from tests.support.fuzz import Fuzz
from tests.support.postgres import Postgres
from tests.support.raw_client import RawAnswer
from tests.support.strict_engine import Reached

WIDEST = 60


def _shortened(text: str) -> str:
    text = text if len(text) <= WIDEST else f"{text[:WIDEST]}…"
    return "`" + text.replace("|", "\\|") + "`"


def _answer(answer: RawAnswer, attack: Attack) -> str:
    code = answer.code if answer.status >= 400 and not attack.to_head else None
    return f"{answer.status} {code}" if code else str(answer.status)


def _reached(requests: list[Reached]) -> str:
    shown = [
        _shortened(f"{request.method} {request.target}") + f", {len(request.body)} bytes"
        for request in requests
    ]
    return "; ".join(shown) or "nothing"


async def show_table(attacked: Attacked) -> None:
    """Print a line for each attack."""
    print("| attack | answer | connection | reaches the engine |\n|---|---|---|---|")
    for attack in ATTACKS:
        outcome, reached = await attacked.by(attack)
        answers = ", ".join(_answer(answer, attack) for answer in outcome.answers)
        then = "closed" if outcome.closed else "goes on"
        print(f"| {_shortened(attack.name)} | {answers} | {then} | {_reached(reached)} |")


async def show_fuzz(attacked: Attacked, seconds: float, seed: int) -> None:
    """Fuzz for this long and print the counts after each batch."""
    fuzz = Fuzz(attacked, seed)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        await fuzz.round(500)
        print(f"seed {seed}: {fuzz.summary()}", flush=True)


async def main(arguments: list[str]) -> int:
    """Print the table or fuzz; returns 2 for wrong usage."""
    logging.basicConfig(level=logging.ERROR)
    with Postgres(fsync=False) as postgres:
        async with attacked_proxy(postgres) as attacked:
            match arguments:
                case []:
                    await show_table(attacked)
                case ["fuzz", seconds, *seed]:
                    await show_fuzz(attacked, float(seconds), int(seed[0]) if seed else 1)
                case _:
                    print(__doc__, file=sys.stderr)
                    return 2
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
