"""Ray's processes on this machine: started as one group, found by number, and ended by number.

Ray's own `ray stop` ends all of a machine's Ray processes by name, other people's too.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from runtime.config import ROOT, Config

OBJECT_STORE_BYTES = 100_000_000
"""Requests do not go through Ray's object store, which would take a third of the memory."""
END_S = 5.0
"""How long Ray's processes may take to end, after LLAMA_SERVER_STOP_SECONDS for their responses."""
_STARTED = b"This command will now block"
"""What `ray start --block` says when all runs."""


class NodeError(Exception):
    """Ray cannot be started or stopped here. The text is ready to be shown."""


class Node:
    """Ray on this machine, as the file `cluster.json` in the data directory knows it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._start_s = config.number("LLAMA_SERVER_START_SECONDS")
        self._stop_s = config.number("LLAMA_SERVER_STOP_SECONDS")
        self._state = config.data_dir / "cluster.json"
        self.token = config.data_dir / "cluster.token"
        """The file with the key that Ray's processes ask each other for."""
        self.log = config.root / "runtime" / "logs" / "cluster.log"
        self._log_from = 0
        """Where the lines of this start begin in the log."""

    @property
    def address(self) -> str:
        """The address of a head on this machine."""
        return f"{self._config.text('LLAMA_CLUSTER_HOST')}:{self._config.integer('LLAMA_CLUSTER_PORT')}"

    def processes(self) -> list[psutil.Process]:
        """Ray's processes here, which are one session; empty if none runs."""
        try:
            state = json.loads(self._state.read_text())
            session, created = state["pid"], state["created"]
        except (OSError, ValueError, KeyError):
            return []
        if psutil.pid_exists(session) and not _was_created(session, created):
            return []  # the number is another process's now
        return [process for process in psutil.process_iter() if _belongs_to(session, process)]

    def wait_until_started(self) -> None:
        """Wait until Ray's processes run and, on a worker, the head has taken them in.

        Raises:
            NodeError: Ray has ended, or is not ready after LLAMA_SERVER_START_SECONDS.
        """
        until = time.monotonic() + self._start_s
        while _STARTED not in self.log.read_bytes()[self._log_from :]:
            if not self.processes():
                raise NodeError(f"Ray has ended; {self.log} says why")
            if time.monotonic() > until:
                raise NodeError(f"Ray has not started in {self._start_s:g} s; {self.log} may say why")
            time.sleep(0.2)

    def environment(self) -> dict[str, str]:
        """The environment of everything of Ray's: a token is asked for, and nothing is reported home."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Else the head's replica would get all requests, and the others none.
            "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": f"{self._stop_s:g}",
            "PYTHONPATH": str(ROOT),
        }

    def make_token(self) -> None:
        """Make the token, unless there is one."""
        self.token.parent.mkdir(parents=True, exist_ok=True)
        if not self.token.exists():
            descriptor = os.open(self.token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))

    def start(self, *, join: str | None) -> None:
        """Start a head, or a worker of the head at `join` (HOST:PORT). Returns at once.

        Raises:
            NodeError: it runs already.
        """
        if self.processes():
            raise NodeError("the cluster runs here already: ./console.sh cluster stop ends it")
        # Short, since the paths of sockets are limited to some 100 characters.
        folder = tempfile.mkdtemp(prefix="llamaserve-ray-", dir="/tmp")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_from = log.tell()
            process = subprocess.Popen(
                [Path(sys.executable).with_name("ray"), "start", *self._options(join, folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment()},
                cwd=ROOT,
                start_new_session=True,
            )
        created = psutil.Process(process.pid).create_time()
        state = {"pid": process.pid, "created": created, "folder": folder, "joined": join}
        self._state.write_text(json.dumps(state))

    def _options(self, join: str | None, folder: str) -> list[str]:
        host = self._config.text("LLAMA_CLUSTER_HOST")
        common = ["--block", "--disable-usage-stats", f"--node-ip-address={host}"]
        common += ["--min-worker-port=0", "--max-worker-port=0"]
        common += [f"--object-store-memory={OBJECT_STORE_BYTES}"]
        if join is not None:
            return [*common, f"--address={join}"]
        port = self._config.integer("LLAMA_CLUSTER_PORT")
        head = ["--head", f"--port={port}", "--include-dashboard=false"]
        return [*common, *head, f"--temp-dir={folder}"]

    def stop(self) -> bool:
        """End Ray here; replicas may finish their responses meanwhile. Returns whether it ran."""
        processes = self.processes()
        if processes:
            min(processes, key=psutil.Process.create_time).terminate()  # it ends the others in order
            psutil.wait_procs(processes, timeout=self._stop_s + END_S)
            for process in self.processes():
                process.kill()
        self._forget()
        return bool(processes)

    def _forget(self) -> None:
        """Remove what a run has left."""
        try:
            folder = Path(json.loads(self._state.read_text())["folder"])
        except (OSError, ValueError, KeyError):
            return
        if folder.name.startswith("llamaserve-ray-"):
            shutil.rmtree(folder, ignore_errors=True)
        self._state.unlink()


def _was_created(pid: int, created: float) -> bool:
    try:
        return bool(psutil.Process(pid).create_time() == created)
    except psutil.Error:
        return False


def _belongs_to(session: int, process: psutil.Process) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.Error):
        return False
