"""Control supervisord's programs, for the shell scripts of the console.

    python -m runtime.supervisor states              print NAME STATE lines; 1 if there is no supervisord
    python -m runtime.supervisor start NAME …        return at once
    python -m runtime.supervisor stop NAME …         return when they have ended
    python -m runtime.supervisor pause proxy         stop the proxy, but keep its port open
    python -m runtime.supervisor wait NAME SECONDS   wait until it is ready; 1 and the reason if it ends
    python -m runtime.supervisor ports NAME …        check that they can listen; 1 and the reason if not

Exit status 3: supervisord is shutting down.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from itertools import combinations
from xmlrpc.client import Fault

from runtime.config import Config, ConfigError, load
from runtime.machine import ports
from runtime.supervisor import readiness
from runtime.supervisor.client import (
    PROGRAMS,
    NotRunningError,
    ShuttingDownError,
    Supervisor,
    starts_file,
)

EXIT_SHUTTING_DOWN = 3
_PAUSE_S = 0.1


def wait_ready(supervisor: Supervisor, config: Config, name: str, seconds: float) -> str:
    """Wait until a program is ready, for `seconds` at most. Returns "", or why it is not ready.

    Returns at once if the program's process has ended or was replaced by another.
    """
    began = time.monotonic()
    first = supervisor.program(name).pid
    with _Progress(name) as progress:
        while True:
            program = supervisor.program(name)
            first = first or program.pid
            if not program.is_up or program.pid != first:
                return f"{name} ended before it was ready"
            problem = readiness.check(config, name)
            if not problem:
                return ""
            elapsed = time.monotonic() - began
            if elapsed > seconds:
                return f"{name} was not ready after {seconds:g} seconds: {problem}"
            progress.show(elapsed)
            time.sleep(_PAUSE_S)


class _Progress:
    """Shows the time spent waiting: a line that counts on a terminal, else a line every ten seconds."""

    _EVERY_S = 10.0

    def __init__(self, name: str) -> None:
        self._what = f"waiting for {name}"
        self._terminal = sys.stderr.isatty()
        self._shown_s = -1.0

    def __enter__(self) -> _Progress:
        return self

    def show(self, elapsed_s: float) -> None:
        if self._terminal:
            print(f"\r{self._what} … {elapsed_s:.0f} s", end="", file=sys.stderr, flush=True)
        elif elapsed_s >= self._shown_s + self._EVERY_S:
            print(f"{self._what} … {elapsed_s:.0f} s", file=sys.stderr, flush=True)
        else:
            return
        self._shown_s = elapsed_s

    def __exit__(self, *_: object) -> None:
        if self._terminal and self._shown_s >= 0:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def check_ports(config: Config, names: list[str]) -> list[str]:
    """A line for each of these programs that cannot listen on its port."""
    problems = []
    asked = [name for name in names if name != "postgres"]
    for name in asked:
        prefix = f"LLAMA_{name.upper()}"
        host, port = config.text(f"{prefix}_HOST"), config.integer(f"{prefix}_PORT")
        try:
            ports.claim(host, port).close()
        except ports.PortError as error:
            problems.append(f"the {name} cannot start: {error} (set by {prefix}_HOST, {prefix}_PORT)")
    numbers = [f"LLAMA_{name.upper()}_PORT" for name in asked]
    for one, other in combinations(numbers, 2):
        if (port := config.integer(one)) == config.integer(other):
            problems.append(f"{one} and {other} are both {port}")
    return problems


def _print_states(supervisor: Supervisor) -> None:
    for name in PROGRAMS:
        print(name, supervisor.program(name).state)


def _start(supervisor: Supervisor, config: Config, names: list[str]) -> None:
    for name in names:
        starts_file(config, name).unlink(missing_ok=True)
        supervisor.start(name)


def main(arguments: list[str]) -> int:
    """Run one of the commands.

    Returns 0; 1 with the reason on stderr; 2 for wrong usage; 3 during a shutdown.
    """
    try:
        supervisor = Supervisor(os.environ["LLAMASERVE_CONTROL"])
        problems: list[str] = []
        match arguments:
            case ["states"]:
                _print_states(supervisor)
            case ["start", *names]:
                _start(supervisor, load(), names)
            case ["stop", *names]:
                for name in names:
                    supervisor.stop(name)
            case ["pause", name]:
                supervisor.stop(name, keep_port=True)
            case ["wait", name, seconds]:
                # A normal exit, so that no unfinished line stays on the terminal.
                signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
                problems = [wait_ready(supervisor, load(), name, float(seconds))]
            case ["ports", *names]:
                problems = check_ports(load(), names)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except ShuttingDownError as error:
        _report([str(error)])
        return EXIT_SHUTTING_DOWN
    except NotRunningError as error:
        problems = [] if arguments == ["states"] else [f"supervisord does not answer: {error}"]
        return _report(problems) or 1
    except (ConfigError, TimeoutError, Fault) as error:
        problems = [str(error)]
    except KeyboardInterrupt:
        return 130
    return _report(problems)


def _report(problems: list[str]) -> int:
    lines = [problem for problem in problems if problem]
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
