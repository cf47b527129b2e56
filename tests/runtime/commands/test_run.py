"""`run`, and commands that meet a stop, a shutdown, a stale lock or the appliance of another user."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.appliance import Appliance
from tests.support.wait import wait_until

LATE_TAIL = """#!/bin/sh
case "$*" in *-F*) until grep -q ready '{log}'; do sleep 0.1; done ;; esac
exec {tail} "$@"
"""
"""A `tail` that begins to follow only when the server is ready, as on a busy machine."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_stays_in_the_foreground_until_a_signal(
    appliance: Appliance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    """run copies the logs to stdout, from the first line on; a signal stops everything, with exit
    status 0."""
    log = appliance.root / "runtime/logs/server.log"
    log.unlink(missing_ok=True)
    tail = tmp_path / "tail"
    tail.write_text(LATE_TAIL.format(log=log, tail=shutil.which("tail")))
    tail.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    process = appliance.popen("run", start_new_session=True)
    assert process.stdout is not None
    descriptor, shown = process.stdout.fileno(), bytearray()
    os.set_blocking(descriptor, False)

    def shows_the_log() -> bool:
        with suppress(BlockingIOError):
            shown.extend(os.read(descriptor, 65536))
        return any(line.startswith(b"server: ") and b"ready" in line for line in shown.splitlines())

    wait_until(shows_the_log, "the server's log on stdout")
    of_server = [line for line in shown.splitlines() if line.startswith(b"server: ")]
    lines = log.read_bytes().splitlines()
    assert of_server == [b"server: " + line for line in lines[: len(of_server)]]
    appliance.until_well()
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 0, errors
    assert appliance.leftovers() == []


@pytest.mark.parametrize("command", ["start", "restart", "run"])
def test_a_stop_does_not_wait_for_a_model_that_loads(appliance: Appliance, command: str) -> None:
    """The start ends at once and leaves nothing running, however long the model would take to load."""
    engine = appliance.root / "runtime/engine/__main__.py"
    text = engine.read_text()
    engine.write_text("import time\n\ntime.sleep(600)\n")
    try:
        under_way = appliance.popen(command)
        wait_until(
            lambda: any("-m runtime.engine" in line for line in appliance.leftovers()),
            "the engine to be started",
        )
        appliance.stop()
        under_way.communicate(timeout=30)
        assert under_way.returncode == 128 + signal.SIGTERM
        assert appliance.leftovers() == []
    finally:
        engine.write_text(text)


def test_run_fails_where_start_does(appliance: Appliance) -> None:
    """run ends with the exit status of a failed start, which its supervisor sees."""
    done = appliance.console("run", "--model", "missing.gguf")
    assert done.returncode == 1
    assert "missing.gguf" in done.stderr
    assert appliance.leftovers() == []


def test_run_ends_when_supervisord_does(appliance: Appliance) -> None:
    """run ends with 1, so that its supervisor can start it again; nothing is left running."""
    process = appliance.popen("run")
    appliance.until_well()
    appliance.kill("supervisord")
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert appliance.leftovers() == []


def test_status_of_what_does_not_run(appliance: Appliance) -> None:
    """Exit status 3, in JSON too."""
    done = appliance.console("status", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["running"] is False


@pytest.mark.parametrize("part", ["server", "proxy", "postgres"])
def test_restart_of_a_part_needs_a_running_appliance(appliance: Appliance, part: str) -> None:
    """The message says so, and how to start it."""
    done = appliance.console("restart", part)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the appliance is not running\n")


def test_start_waits_for_a_shutdown(appliance: Appliance) -> None:
    """supervisord has been told to end, and refuses requests until its programs have ended: `status`
    says so, and `start` waits for the end and then starts everything again."""
    appliance.configure(LLAMA_SERVER_STOP_SECONDS="60")
    appliance.start()
    before = appliance.pid("server")
    # A suspended server does not end: the shutdown lasts until it is continued.
    os.kill(before, signal.SIGSTOP)
    os.kill(appliance.pid("supervisord"), signal.SIGTERM)
    try:
        wait_until(
            lambda: appliance.status()["processes"]["server"]["state"] == "stopping",
            "status to show the shutdown",
        )
        start = appliance.popen("start")
        assert start.stderr
        first = start.stderr.readline()
        assert first == "the appliance is shutting down: waiting until it has stopped\n"
    finally:
        os.kill(before, signal.SIGCONT)
    output, errors = start.communicate(timeout=60)
    assert start.returncode == 0, errors
    assert "Fault" not in errors + output
    assert appliance.status()["ok"]
    assert appliance.pid("server") != before


def test_a_stranger_with_the_pid_in_the_lock_is_left_alone(appliance: Appliance) -> None:
    """After a reboot the pid in a lock may belong to another appliance's script: `start` and `stop`
    neither wait for it nor end it."""
    script = appliance.base / "runtime/commands/start.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text("read -r _\n")
    with subprocess.Popen(["bash", script], stdin=subprocess.PIPE) as stranger:
        lock = appliance.root / "runtime/run/lock"
        lock.parent.mkdir(exist_ok=True)
        lock.symlink_to(f"{stranger.pid}:start")
        appliance.start()
        lock.symlink_to(f"{stranger.pid}:boot-1:start")
        appliance.stop()
        assert stranger.poll() is None
        stranger.communicate(b"\n", timeout=20)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("command", ["start", "restart", "run"])
def test_root_does_not_meddle_with_a_users_appliance(appliance: Appliance, command: str) -> None:
    """Files of root's would lock out the appliance's owner. root may stop it."""
    run_dir = appliance.root / "runtime/run"
    run_dir.mkdir(exist_ok=True)
    os.chown(run_dir, 65534, 65534)
    try:
        done = appliance.console(command)
        assert done.returncode == 1
        assert "this appliance is nobody's, and you are root" in done.stderr
        appliance.stop()
    finally:
        os.chown(run_dir, 0, 0)
