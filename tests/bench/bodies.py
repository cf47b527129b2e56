"""Random requests to the engine, many of them: what is answered, refused or breaks it.

    ./console.sh bench bodies [--examples 5000] [--seed N] [FAMILY …]

First sends what is known to end, block or confuse a server (`tests/support/hostile/paths.py`), on every
path and in every way, eight at a time. Then runs `tests/runtime/engine/http/test_fuzz.py` with so many
bodies of each family of `tests/support/bodies.py`, other ones for each seed. After each few an ordinary
request must get the answer that it got at first, from the same process; what fails is made as small as
it can be. Prints the statuses of each family; exits with 1 where an answer was a 5xx, late or out of
form.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import tests
from tests.bench.report import machine
from tests.support.bodies import families
from tests.support.engine import Engine
from tests.support.gguf import build_model
from tests.support.gguf_bert import random_bert
from tests.support.hostile import paths

_AT_ONCE = 8
_TEST = "tests/runtime/engine/http/test_fuzz.py"


def main() -> int:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(prog="bench bodies", description=__doc__.partition("\n")[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(families))
    parser.add_argument("--examples", type=int, default=5000, help="bodies of each family")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    options = parser.parse_args()
    if unknown := set(options.families) - families.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for name, value in machine().items():
        print(f"{name}: {value}")
    print(f"seed: {options.seed}", flush=True)
    is_hurt = asyncio.run(_killers())
    chosen = [f"{_TEST}::test_no_body_hurts[{name}]" for name in options.families or families]
    began = time.monotonic()
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider"),
            *("-o", "faulthandler_timeout=0"),  # it takes as long as it takes
            *(f"--hypothesis-seed={options.seed}", *chosen),
        ],
        cwd=Path(tests.__file__).parents[1],
        env={**os.environ, "LLAMASERVE_FUZZ_EXAMPLES": str(options.examples)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    shown = re.compile(rf"^({'|'.join(families)}): ")
    for line in run.stdout:
        if shown.match(line) or line.startswith(("E ", "FAILED", "ERROR")):
            print(line, end="", flush=True)
    print(f"{time.monotonic() - began:.0f} s, {'broken' if run.wait() else 'nothing broke'}")
    return 1 if run.returncode or is_hurt else 0


async def _killers() -> bool:
    """Send the known ones, and print their statuses; whether one was a 5xx or ended the process."""
    with tempfile.TemporaryDirectory() as folder:
        embedding = random_bert(context_length=128).write(Path(folder) / "embedding.gguf")
        model = build_model(Path(folder) / "model.gguf")
        env = {"LLAMA_SERVER_EMBEDDING_MODEL": str(embedding)}
        with Engine(Path(folder), model, env=env) as engine:
            pid = engine.start().pid
            statuses: dict[str, int] = {}
            at_once = asyncio.Semaphore(_AT_ONCE)

            async def send(name: str, path: str, body: dict[str, Any]) -> None:
                async with at_once:
                    statuses[name] = (await engine.post(path, body)).status

            listed = paths.requests(in_every_way=True)
            await asyncio.gather(*(send(name, *request) for name, request in listed.items()))
            is_same = engine.pid == pid and engine.alive
    counts = dict(sorted(Counter(statuses.values()).items()))
    print(f"known: {len(statuses)} requests, {counts}, {'the same' if is_same else 'ANOTHER'} process")
    return not is_same or not counts.keys() <= {200, 400}


if __name__ == "__main__":
    sys.exit(main())
