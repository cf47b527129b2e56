"""Measures the engine beside the stock server it stands around. Run it from the checkout:

    runtime/.venv/bin/python -m tests.bench.engine [WHAT] [--json]

WHAT is one of these; without it all are measured:

- leaving: seconds until the model is free when a client leaves.
- turns: time to the first token when two long conversations alternate.
- cost: tokens a second and time to the first token of one user; first-token: that time alone, with
  prompts saved and not.
- crowd: one user and eight at once, with llama.cpp's own llama-server and llama-bench where they are on
  the PATH.
- batching: what eight slots give to eight users and to one, to a newcomer, to conversations by turns and
  to shared prompts, and what prompt lookup gives; `--model FILE` measures a real model.
- appliance: the same eight users and one through the whole appliance, proxy and database included, and
  a light user beside a heavy one.
- mask: the time for each token of a response that must fit a JSON schema; `--vocabulary FILE` measures
  that of a real model too.

`--rounds N` sets how often.

It starts all servers itself, on 127.0.0.1, with models it builds: nothing is downloaded, no key or
configuration of yours is used. A cell is the median of all rounds (and the least and the greatest). On
a small or busy machine times drift by the minute: believe the ratios, which compare within a round, and
stop what else is running, above all for cost, where the model has a thread for each core: they wait for
each other at every step, and one busy neighbour makes them many times slower (`--threads 1` is steady).
All of it takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from runtime.machine.processors import physical_cores
from tests.bench import batching, cost, crowd, first_token, leaving, mask, through_proxy, turns
from tests.bench.report import Neighbours, Table, machine

Measurement = Callable[[argparse.Namespace], list[Table]]


def main(arguments: list[str]) -> int:
    """Measure what the command line names and print it."""
    options = _parse(arguments)
    names = list(_MEASUREMENTS) if options.what == "all" else [options.what]
    where = machine()
    if not options.json:
        print("\n".join(f"{name}: {value}" for name, value in where.items()), end="\n\n", flush=True)
    tables: list[Table] = []
    for name in names:
        new = _measured(name, options)
        tables += new
        if not options.json:
            print("\n".join(table.text() for table in new), flush=True)
    if options.json:
        print(json.dumps({**where, "tables": [table.data() for table in tables]}, indent=2))
    return 0


def _measured(name: str, options: argparse.Namespace) -> list[Table]:
    began, neighbours = time.monotonic(), Neighbours()
    tables = _MEASUREMENTS[name](options)
    share = neighbours.share()
    took = f"measured in {time.monotonic() - began:.0f} s"
    others = "" if share is None else f"; other processes took {share:.0%} of the machine meanwhile"
    tables[-1].notes.append(took + others)
    return tables


def _leaving(options: argparse.Namespace) -> list[Table]:
    return leaving.measure(options.rounds or leaving.ROUNDS, options.threads or 1)


def _turns(options: argparse.Namespace) -> list[Table]:
    return turns.measure(options.rounds or turns.ROUNDS, options.threads or 1)


def _cost(options: argparse.Namespace) -> list[Table]:
    return cost.measure(options.rounds or cost.ROUNDS, options.threads or physical_cores())


def _crowd(options: argparse.Namespace) -> list[Table]:
    return crowd.measure(options.rounds or crowd.ROUNDS, options.threads or physical_cores())


def _batching(options: argparse.Namespace) -> list[Table]:
    rounds = options.rounds or batching.ROUNDS
    return batching.measure(rounds, options.threads, options.model)


def _appliance(options: argparse.Namespace) -> list[Table]:
    return through_proxy.measure(options.rounds or batching.ROUNDS, options.model)


def _first_token(options: argparse.Namespace) -> list[Table]:
    return first_token.measure(options.rounds or first_token.ROUNDS, options.threads or 1)


def _mask(options: argparse.Namespace) -> list[Table]:
    return mask.measure(options.rounds or mask.ROUNDS, options.vocabulary)


_MEASUREMENTS: dict[str, Measurement] = {
    "leaving": _leaving,
    "turns": _turns,
    "cost": _cost,
    "crowd": _crowd,
    "batching": _batching,
    "appliance": _appliance,
    "first-token": _first_token,
    "mask": _mask,
}


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engine")
    parser.add_argument("what", nargs="?", choices=[*_MEASUREMENTS, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=0, help="instead of each measurement's own number")
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        help="of each server's model; else 1 for leaving and turns, which a neighbour then disturbs "
        "less, for cost a thread for each core, and for batching each server's own default",
    )
    parser.add_argument("--json", action="store_true", help="every sample, instead of tables")
    parser.add_argument("--model", type=Path, default=None, help="a GGUF file, for batching")
    parser.add_argument(
        "--vocabulary", type=Path, action="append", default=[], help="a GGUF file, for mask"
    )
    return parser.parse_args(arguments)


def _terminated(*_: object) -> None:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)  # so that the servers are ended too
    sys.exit(main(sys.argv[1:]))
