"""Counts the processor cores that the model may use.

Considers physical cores, this process's affinity and the quotas of its control groups.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """The physical cores on which this process may run, limited by its quota; at least 1."""
    allowance = quota()
    cores = physical_cores()
    return cores if allowance is None else max(1, min(cores, int(allowance)))


def usable_threads() -> int:
    """The hardware threads on which this process may run, limited by its quota; at least 1."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowance = quota()
    return threads if allowance is None else max(1, min(threads, int(allowance)))


def physical_cores() -> int:
    """The number of cores on which this process may run, without hyper-threads.

    From /proc/cpuinfo and the process's affinity on Linux, from sysctl on macOS. If these do not tell,
    the number of logical processors.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        try:
            return cores_in(Path("/proc/cpuinfo").read_text(), allowed) or len(allowed)
        except OSError:
            return len(allowed)
    try:
        command = ["sysctl", "-n", "hw.physicalcpu"]
        return int(subprocess.run(command, capture_output=True, check=True, timeout=5).stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return os.cpu_count() or 1


def cores_in(cpuinfo: str, allowed: set[int]) -> int:
    """The number of distinct cores of the allowed processors in /proc/cpuinfo's text; 0 if it has
    none."""
    cores = set()
    for block in cpuinfo.split("\n\n"):
        values = dict(re.findall(r"^([^\t\n:]+?)\s*:[ \t]*(.*)$", block, re.MULTILINE))
        if values.get("processor", "").isdecimal() and int(values["processor"]) in allowed:
            cores.add((values.get("physical id"), values.get("core id")))
    return len(cores - {(None, None)})


def quota(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> float | None:
    """The processor time, in seconds for each second, that this process's control groups allow.

    The least of the limits of its groups (versions 1 and 2) and their parents; None if there is no
    limit.
    """
    found = [share for folder in _groups(cgroups, membership) if (share := _share(folder)) is not None]
    return min(found, default=None)


def _groups(cgroups: Path, membership: Path) -> Iterator[Path]:
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = cgroups / controllers
        group = top / path.lstrip("/")
        # Inside a container the path may be that of the host: then only the top exists.
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def _share(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            limit, period = (folder / "cpu.max").read_text().split()
        else:
            limit = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text()
        return int(limit) / int(period) if limit not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
