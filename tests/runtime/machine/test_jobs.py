"""How many compilers run at a time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runtime.config import ROOT
from runtime.machine.__main__ import processes_at_a_time

GIB = 2**30


@pytest.mark.parametrize(
    ("free_gib", "threads", "expected"), [(16, 4, 4), (2, 8, 1), (5, 8, 3), (0, 2, 1)]
)
def test_memory_and_threads_bound_the_compilers(free_gib: int, threads: int, expected: int) -> None:
    """One for each hardware thread as far as the memory suffices, and at least one."""
    found = processes_at_a_time(3 * GIB // 2, free_bytes=free_gib * GIB, threads=threads)
    assert found == expected


def test_the_installation_asks_for_a_number() -> None:
    """Printed alone; anything but a size is wrong usage."""

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runtime.machine", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    assert int(ask("1").stdout) >= 1
    assert ask("0").returncode == 2
    assert ask("many").returncode == 2
