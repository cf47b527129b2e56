"""runtime/shell/lock.sh: one holder at a time, and no lock of a process that has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.config import ROOT
from tests.support.wait import wait_until


def lock(script: str, directory: Path) -> subprocess.Popen[str]:
    """Run a line of shell that has lock.sh's functions and the path LOCK."""
    prelude = (
        'set -euo pipefail; . "$1/runtime/shell/lib.sh"; . "$1/runtime/shell/lock.sh"; LOCK="$2/lock";'
    )
    return subprocess.Popen(
        ["bash", "-c", f"{prelude} {script}", "-", ROOT, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(script: str, directory: Path) -> str:
    """What a script prints; an AssertionError if it fails or has anything to say."""
    with lock(script, directory) as process:
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    return output


def test_a_lock_is_waited_for_while_its_holder_lives(directory: Path) -> None:
    """The second one says for whom it waits, and gets the lock when the first has released it."""
    with lock('take_lock "$LOCK" install; echo held; read -r _; release_lock "$LOCK"', directory) as one:
        assert one.stdout
        assert one.stdout.readline() == "held\n"
        with lock('take_lock "$LOCK" install; echo held', directory) as two:
            assert two.stderr
            assert two.stderr.readline() == f"waiting for another install (pid {one.pid}) to end\n"
            assert one.communicate("\n", timeout=20)[0] == ""
            assert two.communicate(timeout=20)[0] == "held\n"


def test_the_lock_of_a_killed_holder_is_taken_over(directory: Path) -> None:
    """Without waiting."""
    with lock('take_lock "$LOCK" start; echo held; read -r _', directory) as one:
        assert one.stdout
        assert one.stdout.readline() == "held\n"
        assert output_of('lock_holder "$LOCK"', directory) == f"{one.pid}:start"
        one.kill()
    assert (directory / "lock").is_symlink()
    assert output_of('lock_holder "$LOCK"', directory) == ""
    pid, holder = output_of('take_lock "$LOCK" stop; echo $$; lock_holder "$LOCK"', directory).split()
    assert holder == f"{pid}:stop"


@pytest.mark.parametrize(
    "target",
    ["{pid}:start", "{pid}:1-1:start", "{pid}::start", "0:1-1:start", "../self:1:start", "x", "1:"],
)
def test_a_forged_lock_is_taken_over(directory: Path, target: str) -> None:
    """A pid that now belongs to another process, such as after a reboot, holds nothing."""
    # This process's command line looks like one of ours.
    stranger = subprocess.Popen(
        [sys.executable, "-c", "input()", "runtime/commands/start.sh"], stdin=subprocess.PIPE
    )
    with stranger:
        os.symlink(target.format(pid=stranger.pid), directory / "lock")
        assert output_of('lock_holder "$LOCK"', directory) == ""
        assert output_of('take_lock "$LOCK" start; echo held', directory) == "held\n"
        assert stranger.poll() is None
        stranger.kill()


def test_a_zombie_holds_no_lock(directory: Path) -> None:
    """A holder that was killed counts as ended before its parent has asked for its exit status."""
    with lock('take_lock "$LOCK" start; echo held; read -r _', directory) as one:
        assert one.stdout
        assert one.stdout.readline() == "held\n"
        one.kill()
        wait_until(lambda: output_of('lock_holder "$LOCK"', directory) == "", "the lock to be free")


def test_a_lock_is_released_by_its_holder_only(directory: Path) -> None:
    """release_lock leaves the lock of another process alone."""
    os.symlink(f"{os.getpid()}:1:start", directory / "lock")
    output_of('release_lock "$LOCK"', directory)
    assert (directory / "lock").is_symlink()


def test_a_lock_that_cannot_be_created_is_an_error(directory: Path) -> None:
    """It names the reason and does not wait. `stop`, which is lenient, goes on without a lock."""
    (directory / "lock").write_text("not a link")
    with lock('take_lock "$LOCK" start; echo held', directory) as strict:
        output, errors = strict.communicate(timeout=20)
    assert (strict.returncode, output) == (1, "")
    assert errors == f"error: the lock {directory / 'lock'} cannot be created: File exists\n"
    with lock('LLAMASERVE_LENIENT=1 take_lock "$LOCK" stop; echo goes on', directory) as lenient:
        assert lenient.communicate(timeout=20) == ("goes on\n", "warning: no lock: File exists\n")


def test_only_the_stale_lock_is_removed(directory: Path) -> None:
    """A lock that another process has taken since it was found stale is put back."""
    os.symlink("7:7:start", directory / "lock")
    output_of('remove_stale "$LOCK" 6:6:start', directory)
    assert os.readlink(directory / "lock") == "7:7:start"
    output_of('remove_stale "$LOCK" 7:7:start', directory)
    assert os.listdir(directory) == []
