"""Opens listening sockets early, so that a port in use is found before the slow work begins.

Owns the socket and the message that names the program that uses a port. Leaves serving to the callers.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path

_LISTEN = "0A"
"""TCP_LISTEN in the state column of /proc/net/tcp (proc_pid_net(5))."""

_BACKLOG = 2048


class PortError(Exception):
    """Listening on the port is not possible. The text gives the reason and is ready to be shown."""


def claim(host: str, port: int) -> socket.socket:
    """A socket that listens on the port. Clients can connect from now on; they wait for an answer.

    It listens at once because Linux lets two sockets with SO_REUSEADDR bind one port until one of them
    listens. If a name has several addresses, IPv4 is preferred.

    Raises:
        PortError: the port is in use or not allowed, or the host is not an address of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise PortError(f"{host} is not a known host: {error.strerror}") from error
    family, kind, protocol, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PortError(_reason(error, host, port)) from error
    return listener


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        by = holder(port)
        return f"port {port} on {host} is already in use{f' by {by}' if by else ''}"
    if error.errno == errno.EADDRNOTAVAIL:
        other = "::1" if ":" not in host else "127.0.0.1"
        example = f", such as {other}" if host in ("127.0.0.1", "::1") else ""
        return f"{host} is not an address of this machine: set it to an address that it has{example}"
    return f"cannot listen on port {port} of {host}: {error.strerror}"


def holder(port: int) -> str:
    """The program that listens on a TCP port, as `NAME (pid PID)`; empty if it cannot be found out."""
    if Path("/proc/net/tcp").exists():
        return _holder_from_proc(port)
    return _holder_from_lsof(port)


def _holder_from_proc(port: int) -> str:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [row.split() for row in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        inodes |= {
            f"socket:[{row[9]}]"
            for row in rows
            if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port
        }
    for folder in Path("/proc").glob("[0-9]*"):
        if any(_target(entry) in inodes for entry in _entries(folder / "fd")):
            try:
                name = (folder / "comm").read_text().strip()
            except OSError:
                continue
            return f"{name} (pid {folder.name})"
    return ""


def _entries(folder: Path) -> list[Path]:
    """The entries of a folder in /proc; none if the process ended or belongs to another user."""
    try:
        return [folder / name for name in os.listdir(folder)]
    except OSError:
        return []


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _holder_from_lsof(port: int) -> str:
    lsof = shutil.which("lsof")
    if lsof is None:
        return ""
    command = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    fields = {line[:1]: line[1:] for line in reversed(done.stdout.splitlines())}
    return f"{fields['c']} (pid {fields['p']})" if {"c", "p"} <= fields.keys() else ""
