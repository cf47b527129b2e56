"""runtime/supervisor/processes.sh: what a session must allow before supervisord is started."""

from __future__ import annotations

import os
import subprocess

import pytest

from runtime.config import ROOT
from tests.support.local_user import run_as_nobody

SCRIPT = (ROOT / "runtime/supervisor/processes.sh").read_text()
DIE = 'die() { printf "%s\\n" "$@"; exit 1; }'


@pytest.mark.parametrize(("limit", "status"), [(256, 1), (1023, 1), (1024, 0)])
def test_too_few_open_files_are_refused(limit: int, status: int) -> None:
    """With the limit, the number that is needed, and the command that raises the limit."""
    command = ["bash", "-c", f"{DIE}; {SCRIPT}\nulimit -n {limit}; require_open_files"]
    if os.geteuid() == 0:  # root may raise the limit
        done = run_as_nobody(*command)
    else:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    if status:
        assert f"may open {limit} files" in done.stdout
        assert "needs 1024" in done.stdout
        assert "ulimit -n 4096" in done.stdout
