"""A file system of its own that is soon full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A file system of one megabyte at a new directory; the test is skipped where none can be made."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root, with the right to mount, has a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)
