"""`./console.sh status [--json]`: the state and health of each program, the model and the URLs.

Exit status: 0 if everything that should run is running and answers, 3 if nothing runs, else 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.config import Config, ConfigError, load
from runtime.models import selection
from runtime.supervisor import readiness
from runtime.supervisor.client import (
    PROGRAMS,
    NotRunningError,
    ShuttingDownError,
    Supervisor,
    restarts,
)

STARTER_NOTE = "the small starter model, for a first try (./console.sh pull gets a real one)"
EXIT_NOT_RUNNING = 3
"""The status that the Linux Standard Base sets for init scripts."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One line of the report."""

    name: str
    state: str
    """supervisord's name for the state, but `running` as soon as the program works. `external`: not run
    by this checkout. `disabled`: turned off. `unwanted`: turned off, but running. `unsupervised`: it
    answers, but there is no supervisord. `stopping`: also while supervisord itself ends."""
    pid: int | None = None
    uptime_seconds: int | None = None
    memory_bytes: int | None = None
    restarts: int | None = None
    health: str = ""
    """`ok`, or the problem."""

    @property
    def is_well(self) -> bool:
        return self.state == "disabled" or (
            self.state in ("running", "external") and self.health == "ok"
        )


def process_table() -> dict[int, tuple[int, int]]:
    """Parent and resident memory (KiB) of every process, by pid.

    From /proc where there is one: slim containers have no ps.
    """
    if not Path("/proc/self/status").exists():
        command = ["ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "rss="]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {int(p): (int(up), int(rss)) for p, up, rss in map(str.split, output.splitlines())}
    table = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            lines = (folder / "status").read_text(errors="replace").splitlines()
        except OSError:
            continue  # it has ended
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        # Zombies and kernel threads have no VmRSS line.
        resident_kib = int(fields.get("VmRSS", "0 kB").split()[0])
        table[int(folder.name)] = (int(fields["PPid"]), resident_kib)
    return table


def resident_bytes(pid: int, table: dict[int, tuple[int, int]]) -> int:
    """The memory of a process and all its descendants."""
    family = {pid}
    grew = True
    while grew:
        below = {child for child, (parent, _) in table.items() if parent in family}
        grew = not below <= family
        family |= below
    return 1024 * sum(table[member][1] for member in family if member in table)


def _not_ours(config: Config, name: str) -> str:
    """The state of a part that this checkout does not run; empty if it runs it."""
    if not config.switch("LLAMA_PROXY_ENABLED") and name != "server":
        return "disabled"
    if name == "dashboard" and not config.runs_dashboard:
        return "disabled"
    if name == "postgres" and not config.uses_embedded_postgres:
        return "external"
    if name == "server" and not config.uses_local_server:
        return "external"
    return ""


def _part(config: Config, supervisor: Supervisor, name: str, table: dict[int, tuple[int, int]]) -> Part:
    state = _not_ours(config, name)
    if state == "disabled":
        return _disabled_part(supervisor, name)
    health = readiness.check(config, name) or "ok"
    if state:
        return Part(name=name, state=state, health=health)
    try:
        program = supervisor.program(name)
    except ShuttingDownError:
        return Part(name=name, state="stopping", health="the appliance is shutting down")
    except NotRunningError:
        # Perhaps something answers, but nothing supervises it.
        state = "unsupervised" if health == "ok" else "stopped"
        return Part(name=name, state=state, health="" if state == "stopped" else health)
    if not program.pid:
        return Part(name=name, state=program.state, restarts=restarts(config, name), health=health)
    return Part(
        name=name,
        state="running" if program.state == "starting" and health == "ok" else program.state,
        pid=program.pid,
        uptime_seconds=max(0, int(time.time() - program.since)),
        memory_bytes=resident_bytes(program.pid, table),
        restarts=restarts(config, name),
        health=health,
    )


def _disabled_part(supervisor: Supervisor, name: str) -> Part:
    """A part that the configuration turns off. It may have been on when the appliance was started."""
    try:
        pid = supervisor.program(name).pid
    except NotRunningError:
        pid = 0
    if not pid:
        return Part(name=name, state="disabled")
    return Part(
        name=name,
        state="unwanted",
        pid=pid,
        health="turned off, but still running: ./console.sh restart",
    )


def parts(config: Config, socket_path: str) -> list[Part]:
    """The state of each part of the appliance. `socket_path` is supervisord's control socket."""
    table = process_table()
    with ThreadPoolExecutor() as pool:  # each check may wait for an answer
        work = [
            # Each has its own connection: an XML-RPC client must not be shared between threads.
            pool.submit(_part, config, Supervisor(socket_path), name, table)
            for name in PROGRAMS
        ]
        return [part.result() for part in work]


def report(config: Config) -> dict[str, object]:
    """The whole report, in the form of `--json`."""
    found = parts(config, os.environ["LLAMASERVE_CONTROL"])
    last = selection.last_used(config) if config.uses_local_server else None
    return {
        "ok": all(part.is_well for part in found),
        "running": any(part.pid or part.state in ("unsupervised", "stopping") for part in found),
        "model": str(last) if last else None,
        "starter": last is not None and selection.is_starter(config, last),
        "server_url": config.backend_url,
        "proxy_url": config.proxy_url if config.switch("LLAMA_PROXY_ENABLED") else None,
        "dashboard_url": config.dashboard_url if config.runs_dashboard else None,
        "processes": [asdict(part) for part in found],
    }


def _duration(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour}h"
    return f"{hour}h {minute}m" if hour else f"{minute}m {second}s" if minute else f"{second}s"


def _size(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else f"{size_bytes / 2**20:,.0f} MB"


def _text(status: dict[str, object], parts: list[Part]) -> str:
    rows = [("", "state", "pid", "uptime", "memory", "restarts", "health")]
    rows += [
        (
            part.name,
            part.state,
            str(part.pid or "-"),
            _duration(part.uptime_seconds),
            _size(part.memory_bytes),
            "-" if part.restarts is None else str(part.restarts),
            part.health or "-",
        )
        for part in parts
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines += ["", f"model   {status['model'] or '-'}"]
    if status["starter"]:
        lines.append(f"        {STARTER_NOTE}")
    lines.append(f"server  {status['server_url']}/v1")
    if status["proxy_url"]:
        lines.append(f"proxy   {status['proxy_url']}/v1")
    if status["dashboard_url"]:
        lines.append(f"pages   {status['dashboard_url']}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print the report. Returns the exit status described at the top of this module."""
    if arguments not in ([], ["--json"]):
        print("usage: ./console.sh status [--json]", file=sys.stderr)
        return 2
    try:
        config = load()
    except ConfigError as error:
        error.report()
        return 1
    status = report(config)
    if arguments:
        print(json.dumps(status, indent=2))
    else:
        processes = status["processes"]
        assert isinstance(processes, list)
        print(_text(status, [Part(**process) for process in processes]))
    if status["ok"]:
        return 0
    return 1 if status["running"] else EXIT_NOT_RUNNING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
