"""The first minutes of a new user: from a fresh clone with empty caches to the first answer.

    ./console.sh bench first_start [--revision REV …] [--model smollm2] [--again]

For each revision (HEAD by default) it clones this repository, runs `start` and asks the model a question
with `chat`. Nothing is taken from this machine's environments and caches: everything is downloaded and
compiled, which takes minutes and a network. `--again` starts a second clone that finds what the first
one has compiled.

Run it on a quiet machine; seconds of the processor are compared more safely than seconds.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from runtime.config import KEYS, ROOT
from tests.support.process import free_port

QUESTION = "Say hello in one sentence."


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One clone's first minutes."""

    start_s: float
    answer_s: float
    """From the beginning of `start` to the end of the first answer."""
    processor_s: float
    """User and system time of `start` and all that it has run and waited for."""


def main(arguments: list[str]) -> int:
    """Measure the revisions one after the other; print a line for each."""
    options = _parse(arguments)
    for revision in options.revision or ["HEAD"]:
        with tempfile.TemporaryDirectory(prefix="llamaserve-first-") as folder:
            home = Path(folder)
            home.chmod(0o711)
            for clone in ["first", "second"][: 1 + options.again]:
                found = measure(home, clone, revision, options.model)
                print(
                    f"{revision} {clone}: start {found.start_s:.0f} s, first answer after "
                    f"{found.answer_s:.0f} s, processor {found.processor_s:.0f} s",
                    flush=True,
                )
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./console.sh bench first_start")
    parser.add_argument("--revision", action="append", help="a commit; several in turn")
    parser.add_argument("--model", default="", help="what `start --model` is to serve")
    parser.add_argument("--again", action="store_true", help="start a second clone afterwards")
    return parser.parse_args(arguments)


def measure(home: Path, name: str, revision: str, model: str) -> Measured:
    """Clone, start, ask, stop."""
    checkout = home / name
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", ROOT, checkout], check=True)
    subprocess.run(
        ["git", "checkout", "--quiet", "--detach", _commit(revision)], cwd=checkout, check=True
    )
    environment = _fresh(home)
    before_s, began = _processor_s(), time.monotonic()
    try:
        command = ["./console.sh", "start", *(["--model", model] if model else [])]
        subprocess.run(command, cwd=checkout, env=environment, stdout=sys.stderr, check=True)
        started = time.monotonic()
        subprocess.run(
            ["./console.sh", "chat"],
            cwd=checkout,
            env=environment,
            input=QUESTION.encode(),
            stdout=sys.stderr,
            check=True,
        )
        answered = time.monotonic()
    finally:
        subprocess.run(["./console.sh", "stop"], cwd=checkout, env=environment, check=False)
        _remove_database(checkout)
    return Measured(
        start_s=started - began, answer_s=answered - began, processor_s=_processor_s() - before_s
    )


def _commit(revision: str) -> str:
    command = ["git", "rev-parse", "--verify", f"{revision}^{{commit}}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _fresh(home: Path) -> dict[str, str]:
    """This machine's environment, with a home and caches of its own and free ports."""
    environment = {name: value for name, value in os.environ.items() if name not in KEYS}
    for name in ("VIRTUAL_ENV", "CMAKE_ARGS", "PYTHONPATH"):
        environment.pop(name, None)
    return environment | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PIP_CACHE_DIR": str(home / "pip"),
        "LLAMA_SERVER_PORT": str(free_port()),
        "LLAMA_PROXY_PORT": str(free_port()),
    }


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _remove_database(checkout: Path) -> None:
    """Where root runs it, the database may be outside the checkout (runtime/postgres/place.sh)."""
    data = checkout / "runtime/data/postgres"
    if data.is_symlink():
        shutil.rmtree(data.readlink().parent, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
