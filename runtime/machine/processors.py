"""How many processors the model may keep busy: what the machine has, less what others have set apart.

Knows physical cores, this process's affinity and the quotas of its control groups.
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
    """The physical cores that this process may run on, as many as its quota lets it use; 1 at least."""
    allowance = quota()
    cores = physical_cores()
    return cores if allowance is None else max(1, min(cores, int(allowance)))


def physical_cores() -> int:
    """How many cores this process may run on, hyper-threads not counted.

    On Linux from /proc/cpuinfo within the process's affinity, on macOS from sysctl; the number of
    logical processors where neither tells.
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
    """Distinct cores of the allowed processors in the text of /proc/cpuinfo; 0 if it names none."""
    cores = set()
    for block in cpuinfo.split("\n\n"):
        values = dict(re.findall(r"^([^\t\n:]+?)\s*:[ \t]*(.*)$", block, re.MULTILINE))
        if values.get("processor", "").isdecimal() and int(values["processor"]) in allowed:
            cores.add((values.get("physical id"), values.get("core id")))
    return len(cores - {(None, None)})


def quota(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> float | None:
    """The least processor time a second that a control group (versions 1 and 2) of this process's, or
    one above it, lets it have; None where none does.
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
        # Inside a container the path may be the host's: then only the top is there.
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
