"""All measurements, behind one command.

    ./console.sh bench [SCENARIO …] [OPTION …]      what gateways cost a request, ours beside others
    ./console.sh bench NAME [ARGUMENT …]            another measurement, one of OTHERS

`./console.sh bench NAME --help`, or the docstring of its module, tells what one measures.
"""

from __future__ import annotations

import runpy
import signal
import sys

from tests.bench.gateway import command

OTHERS = (
    "attacks", "backends", "bad_connections", "batch", "batch_kills", "bodies", "chaos", "cluster",
    "company", "dashboard", "embeddings", "engine", "fairness", "first_start", "guesses", "hostile",
    "records", "schemas", "simulation", "slow_readers", "soak", "templates", "threads", "tools",
)  # fmt: skip
"""Modules beside this one; each is also `python -m tests.bench.NAME`."""


def _terminated(*_: object) -> None:
    sys.exit(128 + signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """Run what the command line names."""
    if arguments and arguments[0] in OTHERS:
        name = f"tests.bench.{arguments[0]}"
        sys.argv = [name, *arguments[1:]]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
        return 0
    return command.main(arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)  # so that what was started is ended too
    sys.exit(main(sys.argv[1:]))
