"""What a session must allow before supervisord is started, and what supervisord does not inherit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.config import ROOT
from tests.support.local_user import run_as_nobody
from tests.support.process import UNHEARD, hear_no_signals

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


def test_the_supervisor_inherits_no_ignored_or_blocked_signal() -> None:
    """Whatever nohup or another program has left: a blocked TERM could only be followed by KILL."""
    status = [sys.executable, "-c", "print(open('/proc/self/status').read())"]
    command = [sys.executable, "-m", "runtime.supervisor.default_signals", *status]
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux shows what a process ignores")
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        restore_signals=False,
        preexec_fn=hear_no_signals,
    )
    masks = dict(line.split(":\t") for line in done.stdout.splitlines() if line.startswith("Sig"))
    kept = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP)  # two are Python's own
    ignored = int(masks["SigIgn"], 16)

    assert int(masks["SigBlk"], 16) == 0
    assert [number for number in UNHEARD if number not in kept and ignored >> (number - 1) & 1] == []
