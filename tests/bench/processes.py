"""Processes of measured servers: start and end them, and read what they have used.

All figures are of a process and everything it has started, since some gateways are several.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from runtime.config import KEYS, ROOT
from tests.support.wait import wait_until

END_S = 10.0


class Tree:
    """A process and its descendants.

    Args:
        pid: of the one above all.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def pids(self) -> list[int]:
        return [process.pid for process in self._all()]

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def cpu_s(self) -> float:
        """User and system time so far in seconds, ended children included."""
        seconds = 0.0
        for process in self._all():
            with suppress(psutil.NoSuchProcess):  # the kernel has added its time to its parent's
                times = process.cpu_times()
                seconds += times.user + times.system + times.children_user + times.children_system
        return seconds

    def resident_bytes(self) -> int:
        """Resident memory now. Pages that several processes share count for each."""
        return sum(process.memory_info().rss for process in self._all())

    def peak_bytes(self) -> int | None:
        """Peak resident memory; None without Linux's /proc."""
        return _sum_of(_peak_of(pid) for pid in self.pids())


def _peak_of(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+([0-9]+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _sum_of(values: Iterator[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    *,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in this folder for as long as the context lasts.

    Its environment has neither our configuration nor PYTHONPATH.
    """
    kept = {name: value for name, value in os.environ.items() if name not in {*KEYS, "PYTHONPATH"}}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, **(environment or {})},
            stdin=stdin,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        for left in started:
            with suppress(psutil.NoSuchProcess):
                left.kill()
    if process.poll() is None:
        process.kill()
        process.wait()


class Instructions:
    """Counts instructions of processes with `perf`, where it can be had."""

    def __init__(self) -> None:
        self.available = self._works()

    @staticmethod
    def _works() -> bool:
        command = ["perf", "stat", "-x", ",", "-e", "instructions", "true"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0 and _counted(done.stderr) is not None

    @contextmanager
    def counting(self, pids: Sequence[int], file: Path) -> Iterator[None]:
        """Count the instructions of these processes within the context, into the file."""
        if not self.available:
            yield
            return
        listed = ",".join(map(str, pids))
        command = ["perf", "stat", "-x", ",", "-e", "instructions", "-o", str(file), "-p", listed]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as perf:
            wait_until(file.exists, "perf to begin")
            try:
                yield
            finally:
                perf.send_signal(signal.SIGINT)

    @staticmethod
    def counted(file: Path) -> float | None:
        """The count that `counting` has written to the file."""
        return _counted(file.read_text()) if file.exists() else None


def _counted(text: str) -> float | None:
    found = re.search(r"^([0-9]+),[^,]*,instructions", text, re.MULTILINE)
    return float(found[1]) if found else None
