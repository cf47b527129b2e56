"""The control of supervisord: start and stop its programs, ask for their states, wait for them.

    python -m runtime.supervisor.client states         NAME STATE, a line each; 1 without supervisord
    python -m runtime.supervisor.client start NAME …
    python -m runtime.supervisor.client stop NAME …    returns when they have ended
    python -m runtime.supervisor.client pause proxy    stop it, but keep its port open
    python -m runtime.supervisor.client wait NAME SECONDS   until it is ready; 1 and why, if it ends
    python -m runtime.supervisor.client ports NAME …   can they listen? 1 and why, if not

Speaks XML-RPC over the control socket, whose path is in LLAMASERVE_CONTROL. Leaves the order of
things, and supervisord's own start and end, to the console's commands.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.states import RUNNING_STATES, ProcessStates, getProcessStateDescription
from supervisor.xmlrpc import Faults, SupervisorTransport

from runtime.config import Config, ConfigError, load
from runtime.machine import ports
from runtime.supervisor import readiness

PROGRAMS = ("postgres", "server", "proxy")
"""In the order they start; they stop in the reverse."""

_GROUP = {"postgres": "postgres", "server": "server", "proxy": "proxy:proxy-0"}
PORT_HOLDER = "proxy:proxy-1"
"""Keeps the proxy's port open while the proxy is away (runtime/supervisor/supervisord.conf)."""

_ANSWER_S = 10.0
"""How long supervisord may take to answer: it never waits for anything itself."""

_RESPAWN_S = 3.0
"""By then supervisord has begun to start one again that died by itself."""
_PAUSE_S = 0.1
_STOP_LIMIT_S = 3700.0
"""Longer than any drain may be set to; supervisord kills what takes longer than it should."""

_UP = (ProcessStates.STARTING, ProcessStates.RUNNING)


class NotRunningError(Exception):
    """There is no supervisord that answers."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What supervisord knows of one program."""

    name: str
    state: str
    """In lower case: running, starting, backoff, stopping, stopped, exited, fatal, unknown."""
    pid: int
    """0 when there is no process."""
    since: float
    """Unix time of the last start."""
    error: str

    @property
    def is_up(self) -> bool:
        return self.state in ("running", "starting")


class Supervisor:
    """One checkout's supervisord.

    Every method raises NotRunningError when it does not answer.
    """

    def __init__(self, socket_path: str) -> None:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{socket_path}")
        # It makes its sockets without a time-out of their own, and a stopped supervisord is silent.
        socket.setdefaulttimeout(_ANSWER_S)
        self._rpc = ServerProxy("http://127.0.0.1", transport=transport)

    def _call(self, method: str, *arguments: object) -> Any:
        try:
            return getattr(self._rpc.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException) as error:
            raise NotRunningError(str(error)) from error

    def program(self, name: str) -> Program:
        """The state of one program."""
        info = self._call("getProcessInfo", _GROUP[name])
        return Program(
            name=name,
            state=info["statename"].lower(),
            pid=info["pid"],
            since=info["start"],
            error=info["spawnerr"],
        )

    def start(self, name: str) -> None:
        """Start a program that is not running; returns at once."""
        for process in [PORT_HOLDER, _GROUP[name]] if name == "proxy" else [_GROUP[name]]:
            try:
                self._call("startProcess", process, False)
            except Fault as fault:
                if fault.faultCode != Faults.ALREADY_STARTED:
                    raise

    def stop(self, name: str, *, keep_port: bool = False) -> None:
        """Stop a program, and return when its process has ended."""
        processes = [_GROUP[name]]
        if name == "proxy" and not keep_port:
            processes.append(PORT_HOLDER)
        for process in processes:
            self._stop(process)

    def announce_restart(self) -> bool:
        """Tell the proxy that the server is about to be restarted; False where none runs."""
        try:
            self._call("signalProcess", _GROUP["proxy"], "USR1")
        except Fault as fault:
            if fault.faultCode != Faults.NOT_RUNNING:
                raise
            return False
        return True

    def _stop(self, process: str) -> None:
        ended = time.monotonic() + _STOP_LIMIT_S
        exited_at: float | None = None
        while (now := time.monotonic()) < ended:
            # Ordered again each time: one that has just died by itself is started anew.
            try:
                self._call("stopProcess", process, False)
            except Fault as fault:
                if fault.faultCode != Faults.NOT_RUNNING:
                    raise
            state = self._call("getProcessInfo", process)["state"]
            if state == ProcessStates.EXITED:
                exited_at = exited_at or now
                if now - exited_at > _RESPAWN_S:
                    return
            elif state not in (*RUNNING_STATES, ProcessStates.STOPPING):
                return
            time.sleep(_PAUSE_S)
        raise TimeoutError(f"{process} is still {getProcessStateDescription(state).lower()}")


def starts_file(config: Config, name: str) -> Path:
    """Grows by a character whenever the program is started (runtime/supervisor/program.sh)."""
    return config.run_dir / f"{'proxy-0' if name == 'proxy' else name}.starts"


def restarts(config: Config, name: str) -> int:
    """How often a program came back by itself since the console started it."""
    try:
        return max(0, starts_file(config, name).stat().st_size - 1)
    except OSError:
        return 0


def server_pid() -> int:
    """The running model server's process; 0 where there is none."""
    try:
        return Supervisor(os.environ["LLAMASERVE_CONTROL"]).program("server").pid
    except NotRunningError:
        return 0


def wait_ready(supervisor: Supervisor, config: Config, name: str, seconds: float) -> str:
    """Wait until a program does its work. Empty, or why it will not.

    That its process has ended, or was replaced by another, is noticed at once.
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
    """That something is waited for: a line that counts on a terminal, else one every ten seconds."""

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
    """A line for each program of these whose port cannot be had."""
    problems = []
    asked = [name for name in names if name in ("server", "proxy")]
    for name in asked:
        prefix = f"LLAMA_{name.upper()}"
        host, port = config.text(f"{prefix}_HOST"), config.integer(f"{prefix}_PORT")
        try:
            ports.claim(host, port).close()
        except ports.PortError as error:
            problems.append(f"the {name} cannot start: {error} (set by {prefix}_HOST, {prefix}_PORT)")
    numbers = [config.integer(f"LLAMA_{name.upper()}_PORT") for name in asked]
    if len(set(numbers)) < len(numbers):
        problems.append(f"LLAMA_SERVER_PORT and LLAMA_PROXY_PORT are both {numbers[0]}")
    return problems


def _print_states(supervisor: Supervisor) -> None:
    for name in PROGRAMS:
        print(name, supervisor.program(name).state)


def _start(supervisor: Supervisor, config: Config, names: list[str]) -> None:
    for name in names:
        starts_file(config, name).unlink(missing_ok=True)
        supervisor.start(name)


def main(arguments: list[str]) -> int:
    """Run one of the commands; 0, 1 with the reason on stderr, or 2 for wrong usage."""
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
                # An exit like any other, which leaves no half-written line on the terminal.
                signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
                problems = [wait_ready(supervisor, load(), name, float(seconds))]
            case ["ports", *names]:
                problems = check_ports(load(), names)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except NotRunningError as error:
        problems = [] if arguments == ["states"] else [f"supervisord does not answer: {error}"]
        return _tell(problems) or 1
    except (ConfigError, TimeoutError, Fault) as error:
        problems = [str(error)]
    except KeyboardInterrupt:
        return 130
    return _tell(problems)


def _tell(problems: list[str]) -> int:
    lines = [problem for problem in problems if problem]
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
