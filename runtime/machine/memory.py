"""How much memory this machine has free, for the processor and for a GPU."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil

HEADROOM = 0.1
"""The part of what is free that is left to everything else, and to what the estimate misses."""
_GPU_QUERY = ("nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits")
_NO_LIMIT = 2**60
"""Control groups of version 1 write "no limit" as a number of about 2^63."""


def usable(free_bytes: int) -> int:
    """What of free memory may be planned with."""
    return int(free_bytes * (1 - HEADROOM))


def available_bytes(
    cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> int:
    """The memory that new work on this machine can have without swapping, in bytes.

    What the system calls available, and what the control groups that this process is in (versions 1
    and 2, each with its parents) leave of their limits. Mapped files and caches count as free.
    """
    available = int(psutil.virtual_memory().available)
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return available
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, names = cgroups, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            top, names = cgroups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        group = top / path.lstrip("/")
        # Inside a container the path may be the host's: then only the top is there.
        for folder in [group, *group.parents]:
            if folder == top or top in folder.parents:
                left = _left_of(folder, *names)
                available = available if left is None else min(available, left)
    return max(0, available)


def _left_of(folder: Path, limit_name: str, used_name: str) -> int | None:
    """What a control group has left of its limit; None where it has none."""
    try:
        limit_text = (folder / limit_name).read_text().strip()
        used = int((folder / used_name).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        limit = _NO_LIMIT if limit_text == "max" else int(limit_text)
    except (OSError, ValueError):
        return None
    cache = sum(int(stat.get(f"{prefix}active_file", 0)) for prefix in ("", "in"))
    return None if limit >= _NO_LIMIT else limit - used + cache


def gpu_bytes(query: tuple[str, ...] = _GPU_QUERY) -> int:
    """Free memory of all NVIDIA GPUs together; 0 where there is none, or no nvidia-smi."""
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10).stdout
        return sum(int(line) for line in answer.split()) * 2**20
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
