"""`bench [SCENARIO …]`: what gateways cost a request, ours beside those that are installed."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.gateway import plot
from tests.bench.gateway.load import Load
from tests.bench.gateway.peers import DEFAULT_DIRECTORY, PEERS
from tests.bench.gateway.processes import Instructions
from tests.bench.gateway.scenarios import SCENARIOS, Bench
from tests.bench.gateway.targets import Target, Targets
from tests.bench.report import Neighbours, Table, machine
from tests.support.postgres import Postgres

PACKAGES = ("aiohttp", "uvloop", "httptools", "orjson", "psycopg")
ROUNDS, SECONDS, MOST_SECONDS = 5, 3.0, 600.0


def main(arguments: Sequence[str], *, postgres: Postgres | None = None) -> int:
    """Measure what the command line names and print it; 1 where ours answered what it should not.

    Args:
        postgres: a server to use instead of one of its own.
    """
    options = _parse(arguments)
    where = machine(PACKAGES)
    began, neighbours = time.monotonic(), Neighbours()
    with Targets(installed=options.peers_dir, postgres=postgres) as targets:
        gateways, absent = _gateways(targets, options)
        bench = Bench(
            targets=targets,
            gateways=gateways,
            load=options.load,
            instructions=Instructions(),
            rounds=options.rounds,
            seconds=options.seconds,
        )
        where |= {
            "gateways": ", ".join(f"{target.name} ({target.version})" for target in gateways),
            "load": f"{bench.load.description}; {options.rounds} rounds of {options.seconds:g} s",
        }
        _say(*absent, *(f"{name}: {value}" for name, value in where.items()), "")
        tables: dict[str, Table] = {}
        for name in options.scenarios or SCENARIOS:
            tables[name] = SCENARIOS[name](bench)
            _say(tables[name].text())
        if not bench.instructions.available:
            _say("instructions are not counted: `perf` is absent, or the machine lets it count none")
    took = f"{time.monotonic() - began:.0f} s"
    share = neighbours.share()
    where["others"] = "unknown" if share is None else f"{share:.0%} of the machine, in {took}"
    _say(f"other processes took meanwhile: {where['others']}")
    _write(options, where, tables)
    return int(bench.failed)


def _gateways(targets: Targets, options: argparse.Namespace) -> tuple[list[Target], list[str]]:
    """All that are to be compared, and a line for each that is not there."""
    found, absent = [targets.direct, targets.ours()], []
    for name in options.peers:
        target = targets.peer(PEERS[name])
        if target is None:
            how = PEERS[name].installation.format(options.peers_dir)
            absent.append(f"{name} is not installed and is skipped; to have it: {how}")
        else:
            found.append(target)
    return found, absent


def _write(options: argparse.Namespace, where: dict[str, str], tables: dict[str, Table]) -> None:
    data = {name: table.data() for name, table in tables.items()}
    if options.json:
        options.json.write_text(json.dumps({**where, "scenarios": data}, indent=2) + "\n")
    if options.svg:
        options.svg.write_text(plot.bars(tables, where))


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


def _peers(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in PEERS]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return names


def _scenario(text: str) -> str:
    if text not in SCENARIOS:
        raise argparse.ArgumentTypeError(
            f"there is no scenario {text!r}; there are {', '.join(SCENARIOS)}"
        )
    return text


def _rounds(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"must be a number above 0, at most {MOST_SECONDS:g}")
    return seconds


def _file(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {path.parent}")
    return path


def _load(text: str) -> Load:
    try:
        return Load(text)
    except (FileNotFoundError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./console.sh bench",
        description="Scenarios, all by default: " + ", ".join(SCENARIOS),
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", type=_scenario)
    parser.add_argument("--peers", type=_peers, default=list(PEERS), help=",".join(PEERS))
    parser.add_argument("--peers-dir", type=Path, default=DEFAULT_DIRECTORY, help="where peers are")
    parser.add_argument("--rounds", type=_rounds, default=ROUNDS)
    parser.add_argument("--seconds", type=_seconds, default=SECONDS)
    parser.add_argument("--load", type=_load, default="auto", help="wrk, loop, or auto")
    parser.add_argument("--json", type=_file, help="a file for every sample")
    parser.add_argument("--svg", type=_file, help="a file for a plot")
    return parser.parse_args(arguments)
