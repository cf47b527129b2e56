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


@pytest.mark.parametrize(
    ("limit", "needed"),
    [
        ("ulimit -s 512", "must be 1024 or more"),
        ("ulimit -f 1000", "must be 2097152 or more"),
        ("ulimit -t 60", "must be unlimited"),
        ("ulimit -u 64", "must be 128 or more"),
        ("ulimit -s 1024; ulimit -u 128", ""),
        ("ulimit -Ss 512", ""),
    ],
)
def test_a_session_whose_limits_would_kill_is_refused(limit: str, needed: str) -> None:
    """With the limit and the command that raises it; what may be raised is raised."""
    command = ["bash", "-c", f"{DIE}; {SCRIPT}\n{limit}; require_limits"]
    if os.geteuid() == 0:
        done = run_as_nobody(*command)
    else:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1 if needed else 0, "")
    assert needed in done.stdout
    assert not needed or "raise the limit: ulimit -" in done.stdout
