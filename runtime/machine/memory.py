"""Reads how much memory is free, of the machine and of its GPUs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil

HEADROOM = 0.1
"""The share of free memory that is kept for everything else, and for errors of the estimate."""
_GPU_QUERY = ("nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits")
_NO_LIMIT = 2**60
"""Control groups of version 1 express "no limit" as a number of about 2^63."""


def usable(free_bytes: int) -> int:
    """The part of free memory that a model may use."""
    return int(free_bytes * (1 - HEADROOM))


def available_bytes(
    cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> int:
    """The memory that a new program can use without swapping, in bytes.

    The least of the memory that the system calls available and what is left of the limits of this
    process's control groups (versions 1 and 2, each with its parents). Mapped files and caches count as
    free.
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
        # Inside a container the path may be that of the host: then only the top exists.
        for folder in [group, *group.parents]:
            if folder == top or top in folder.parents:
                left = _remaining(folder, *names)
                available = available if left is None else min(available, left)
    return max(0, available)


def _remaining(folder: Path, limit_name: str, used_name: str) -> int | None:
    """What is left of a control group's limit; None if it has no limit."""
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
    """Free memory of all NVIDIA GPUs together, in bytes; 0 without a GPU or nvidia-smi."""
    try:
        output = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10).stdout
        return sum(int(line) for line in output.split()) * 2**20
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
