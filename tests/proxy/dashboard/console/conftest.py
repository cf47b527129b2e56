"""A checkout whose console does what a test says, and notes how it was called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest


@pytest.fixture
def console_that(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a `console.sh` with this body; its arguments go to `calls`, a line for each call."""

    def write(body: str) -> Path:
        script = tmp_path / "console.sh"
        script.write_text(f'#!/usr/bin/env bash\nprintf "%s\\n" "$*" >>calls\n{body}\n')
        script.chmod(0o755)
        return tmp_path

    return write


def is_running(pid: int) -> bool:
    """Whether the process lives; one that waits to be collected does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
