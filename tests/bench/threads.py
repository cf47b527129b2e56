"""Measures how many threads serve best, alone and beside busy processes. Run it from the checkout:

    runtime/.venv/bin/python -m tests.bench.threads [--rounds N] [--busy N,N,…] [--json]

One model of 203 million random parameters in Q8_0, read and continued by llama.cpp with one thread and
with as many as there are cores, which wait for each other as GCC's OpenMP has it by default (they spin)
and as the engine has it (they spin briefly, then sleep). All are asked in turn, round by round.
What else runs on the machine keeps it busy too: look at the load before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import llama_cpp

from runtime.engine.tuning import WAIT_POLICY
from runtime.machine.processors import physical_cores
from tests.bench.report import Table, machine
from tests.support.gguf import Shape, build_model

LARGE = Shape(layers=16, width=1024, heads=16, feed_forward=2816)
PROMPT, ANSWER = 256, 24
"""Tokens."""
ONE, SPINNING, SLEEPING = "1 thread", "all cores, spinning", "all cores, sleeping"
_SPIN = "import time\nend = time.monotonic() + 600\nwhile time.monotonic() < end: pass"


class Worker:
    """A context: llama.cpp in a process of its own, since OpenMP reads its settings once."""

    def __init__(self, model: Path, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.threads", "--work", str(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**{k: v for k, v in os.environ.items() if k not in WAIT_POLICY}, **environment},
        )
        self.measure(1)

    def measure(self, threads: int) -> tuple[float, float]:
        """Tokens a second of a prompt and of an answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(threads, file=self._process.stdin, flush=True)
        prompt, answer = map(float, self._process.stdout.readline().split())
        return prompt, answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:
            pass


def work(model: str) -> None:
    """Answer each number of threads on stdin with what `Worker.measure` returns."""
    llama = llama_cpp.Llama(model, n_ctx=1024, n_threads=1, n_threads_batch=1, verbose=False)
    for line in sys.stdin:
        llama_cpp.llama_set_n_threads(llama._ctx.ctx, int(line), int(line))
        llama.reset()  # type: ignore[no-untyped-call]
        began = time.monotonic()
        llama.eval([1, *(320 + i % 40 for i in range(PROMPT - 1))])
        between = time.monotonic()
        for i in range(ANSWER):
            llama.eval([320 + i % 40])
        print(PROMPT / (between - began), ANSWER / (time.monotonic() - between), flush=True)


@contextmanager
def busy(number: int) -> Iterator[None]:
    """So many processes that want a core each, for ten minutes at most."""
    processes = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(rounds: int, neighbours: list[int]) -> Table:
    """A row for prompts and one for answers, with each number of busy processes."""
    table = Table(
        title=f"Tokens a second, {physical_cores()} cores",
        columns=[ONE, SPINNING, SLEEPING],
        ratios=[(SPINNING, ONE), (SLEEPING, ONE)],
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = build_model(folder / "large.gguf", shape=LARGE, quantized=True)
        spinning = stack.enter_context(Worker(model))
        sleeping = stack.enter_context(Worker(model, **WAIT_POLICY))
        cells = [
            (ONE, sleeping, 1),
            (SPINNING, spinning, physical_cores()),
            (SLEEPING, sleeping, physical_cores()),
        ]
        for number in neighbours:
            with busy(number):
                for _ in range(rounds):
                    for column, worker, threads in cells:
                        prompt, answer = worker.measure(threads)
                        table.add(f"prompt, {number} busy", column, prompt)
                        table.add(f"answer, {number} busy", column, answer)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.threads")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--busy", default="0,1")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    table = measure(options.rounds, [int(number) for number in options.busy.split(",")])
    where = machine()
    if options.json:
        print(json.dumps({**where, "tables": [table.data()]}, indent=2))
    else:
        print("\n".join(f"{name}: {value}" for name, value in where.items()), table.text(), sep="\n\n")


if __name__ == "__main__":
    main()
