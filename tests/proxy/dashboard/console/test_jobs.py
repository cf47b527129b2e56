"""One long command at a time, with its owner and its last lines; nothing outlives its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.dashboard.console import commands
from proxy.dashboard.console.jobs import MAX_LINES, Jobs, downloaded_bytes
from proxy.dashboard.data.errors import DashboardError
from tests.proxy.dashboard.console.conftest import is_running
from tests.support.wait import until

Write = Callable[[str], Path]
PULL = commands.pull("smollm2")


async def test_a_job_has_an_owner_lines_and_an_outcome(console_that: Write) -> None:
    """Of what it prints the last lines are kept; progress that overwrites itself is lines too."""
    root = console_that(r"seq 1000; printf 'a\rb\rlast' >&2")
    jobs = Jobs(root)
    job = jobs.begin(PULL, "root")
    await until(lambda: not job.runs, "the job to end")
    assert (job.username, job.outcome, job.status) == ("root", "done", 0)
    assert list(job.lines)[-3:] == ["a", "b", "last"]
    assert len(job.lines) == MAX_LINES
    assert (root / "calls").read_text() == "pull smollm2\n"


async def test_there_is_one_at_a_time(console_that: Write) -> None:
    """Whoever comes second is told whose it is; when it has failed, the next one may begin."""
    jobs = Jobs(console_that("sleep 0.1; echo 'error: no network'; exit 1"))
    job = jobs.begin(PULL, "root")
    with pytest.raises(DashboardError, match=r"pull smollm2 runs already, begun by root"):
        jobs.begin(PULL, "eve")
    await until(lambda: not job.runs, "the job to end")
    assert (job.outcome, list(job.lines)) == ("failed", ["error: no network"])
    with pytest.raises(DashboardError, match="No command is running"):
        jobs.stop("eve")
    await jobs.close()


async def test_a_stopped_job_leaves_no_process(console_that: Write) -> None:
    """What it has started ends too."""
    root = console_that("sleep 60 & echo $! >child; echo begun; wait")
    jobs = Jobs(root)
    job = jobs.begin(PULL, "root")
    await until(lambda: list(job.lines) == ["begun"], "the job to begin")
    assert jobs.stop("eve") is job
    await until(lambda: not job.runs, "the job to end")
    assert job.outcome == "stopped by eve"
    child = int((root / "child").read_text())
    await until(lambda: not is_running(child), "its child to end")


@pytest.mark.parametrize("timeout_s", [60.0, 2.0])
async def test_a_second_stop_changes_nothing(console_that: Write, timeout_s: float) -> None:
    """Nor one of a job whose time is over: it is there until its process has ended, and then another may
    begin."""
    root = console_that(
        "trap 'touch ending; sleep 0.3; touch ended; exit 1' TERM; echo begun; sleep 60 & wait"
    )
    jobs = Jobs(root)
    job = jobs.begin(commands.Command(arguments=("pull",), timeout_s=timeout_s), "root")
    await until(lambda: list(job.lines) == ["begun"], "the job to begin")
    if timeout_s == 60.0:
        jobs.stop("eve")
    await until((root / "ending").exists, "the job to be told to end")
    jobs.stop("eve")
    await until(lambda: not job.runs, "the job to end")
    assert (root / "ended").exists()
    assert job.outcome == "stopped by eve"
    jobs.begin(PULL, "root")
    await jobs.close()


async def test_a_job_ends_with_the_dashboard(console_that: Write) -> None:
    """And after its time."""
    root = console_that("echo $$ >pid; exec sleep 60")
    jobs = Jobs(root)
    jobs.begin(PULL, "root")
    pid = root / "pid"
    await until(lambda: pid.exists() and pid.read_text().endswith("\n"), "the job to begin")
    await jobs.close()
    assert not is_running(int(pid.read_text()))
    late = jobs.begin(commands.Command(arguments=("pull",), timeout_s=0.2), "root")
    await until(lambda: not late.runs, "the job to end")
    assert "takes too long" in late.lines[-1]


def test_what_is_downloaded_is_counted(tmp_path: Path) -> None:
    """Of all unfinished downloads."""
    assert downloaded_bytes(tmp_path) == 0
    for name in ("a--b/x.part", "y.part"):
        path = tmp_path / "models" / ".pull" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    assert downloaded_bytes(tmp_path) == 10
