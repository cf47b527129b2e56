"""`bench [SCENARIO …]`: what gateways cost a request, ours beside those that are installed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from tests.bench.gateway import plot
from tests.bench.gateway.load import Load
from tests.bench.gateway.peers import DEFAULT_DIRECTORY, PEERS, installed_version
from tests.bench.gateway.scenarios import SCENARIOS, Bench
from tests.bench.gateway.targets import StartError, Targets
from tests.bench.processes import Instructions
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
    versions = {name: installed_version(PEERS[name], options.peers_dir) for name in options.peers}
    for name in [name for name, version in versions.items() if version is None]:
        how = PEERS[name].installation.format(options.peers_dir)
        _say(f"{name} is not installed and is skipped; to have it: {how}")
    peers = {name: version for name, version in versions.items() if version is not None}
    where = machine(PACKAGES) | {
        "gateways": ", ".join(["ours", *(f"{name} {version}" for name, version in peers.items())]),
        "load": f"{options.load.description}; rounds: {options.rounds}, of {options.seconds:g} s",
    }
    _say(*(f"{name}: {value}" for name, value in where.items()), "")
    began, neighbours = time.monotonic(), Neighbours()
    try:
        with nullcontext(postgres) if postgres else Postgres() as server:
            tables, failed = _measured(options, server, list(peers), where)
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    share = neighbours.share()
    took = f"{time.monotonic() - began:.0f} s"
    where["others"] = "unknown" if share is None else f"{share:.0%} of the machine, in {took}"
    _say(f"other processes took meanwhile: {where['others']}")
    _write(options, where, tables)
    return int(failed)


def _measured(
    options: argparse.Namespace, postgres: Postgres, peers: Sequence[str], where: dict[str, str]
) -> tuple[dict[str, Table], bool]:
    """A table for each scenario, printed and written at once; whether ours failed in any."""
    instructions = Instructions()
    tables: dict[str, Table] = {}
    failed = False
    for name in dict.fromkeys(options.scenarios or SCENARIOS):
        with Targets(postgres=postgres, peers=peers, installed=options.peers_dir) as targets:
            bench = Bench(
                targets=targets,
                load=options.load,
                instructions=instructions,
                rounds=options.rounds,
                seconds=options.seconds,
            )
            tables[name] = SCENARIOS[name](bench)
        failed |= bench.failed
        _say(tables[name].text())
        _write(options, where, tables)
    if not instructions.available:
        _say("instructions are not counted: `perf` is absent, or the machine lets it count none")
    return tables, failed


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
    names = list(dict.fromkeys(name for name in text.split(",") if name))
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
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a directory; name a file")
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
    options = parser.parse_args(arguments)
    options.peers_dir = options.peers_dir.absolute()
    options.seconds = options.load.possible_s(options.seconds)
    return options
