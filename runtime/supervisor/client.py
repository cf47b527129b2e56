"""A client of supervisord: starts and stops its programs and asks for their states.

Speaks XML-RPC over the control socket, whose path is in LLAMASERVE_CONTROL. Leaves the order of the
steps, and the start and end of supervisord itself, to the shell scripts beside this file.
"""

from __future__ import annotations

import http.client
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.states import RUNNING_STATES, ProcessStates, getProcessStateDescription
from supervisor.xmlrpc import Faults, SupervisorTransport

from runtime.config import Config

PROGRAMS = ("postgres", "server", "proxy", "dashboard")
"""In the order in which they start; they stop in the reverse order."""

_GROUP = {
    "postgres": "postgres",
    "server": "server",
    "proxy": "proxy:proxy-0",
    "dashboard": "dashboard",
}
PORT_HOLDER = "proxy:proxy-1"
"""Keeps the proxy's port open while the proxy is away (runtime/supervisor/supervisord.conf)."""

_ANSWER_S = 10.0
"""How long supervisord may take to answer. It never waits for anything itself."""

_RESPAWN_S = 3.0
"""By then supervisord has begun to start a program again that ended by itself."""
_PAUSE_S = 0.1
_STOP_LIMIT_S = 3700.0
"""Longer than the longest possible drain. supervisord kills programs that take longer than allowed."""

_UP = (ProcessStates.STARTING, ProcessStates.RUNNING)


class NotRunningError(Exception):
    """No supervisord answers."""


class ShuttingDownError(NotRunningError):
    """supervisord is ending and refuses requests. It can be started again when it has ended."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """The state of one program, as supervisord reports it."""

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
    """The supervisord of one checkout.

    Every method raises NotRunningError if it does not answer, ShuttingDownError if it is ending.
    """

    def __init__(self, socket_path: str) -> None:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{socket_path}")
        # The transport sets no time-out on its sockets, and a suspended supervisord never answers.
        socket.setdefaulttimeout(_ANSWER_S)
        self._rpc = ServerProxy("http://127.0.0.1", transport=transport)

    def _call(self, method: str, *arguments: object) -> Any:
        try:
            return getattr(self._rpc.supervisor, method)(*arguments)
        except Fault as fault:
            if fault.faultCode != Faults.SHUTDOWN_STATE:
                raise
            text = "the appliance is shutting down; try again when it has stopped"
            raise ShuttingDownError(text) from fault
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
        """Tell the proxy that the server is about to be restarted; False if no proxy is running."""
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
            # Repeated each time: supervisord starts a program again that has just ended by itself.
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
    """A file that grows by one byte at each start of the program (runtime/supervisor/program.sh)."""
    return config.run_dir / f"{'proxy-0' if name == 'proxy' else name}.starts"


def restarts(config: Config, name: str) -> int:
    """How often supervisord restarted a program since the console started it."""
    try:
        return max(0, starts_file(config, name).stat().st_size - 1)
    except OSError:
        return 0


def server_pid() -> int:
    """The pid of the running model server; 0 if there is none."""
    try:
        return Supervisor(os.environ["LLAMASERVE_CONTROL"]).program("server").pid
    except NotRunningError:
        return 0
