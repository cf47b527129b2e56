"""A library that is loaded before libc, for clocks and file systems that a test cannot have."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("steps_and_locks.c")


def build_preload(directory: Path) -> Path:
    """Compile the library; skips where that is not possible."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("LD_PRELOAD needs Linux and a C compiler")
    library = directory / "preload.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library
