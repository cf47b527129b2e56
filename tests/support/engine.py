"""A real engine process for tests, in a checkout of its own so that nobody's configuration leaks in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from tests.support.client import Client
from tests.support.process import free_port
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
API_KEY = "test-engine-key"
START_SECONDS = 60


def copy_runtime(root: Path) -> Path:
    """Copy the Python code of runtime/ below `root`, and make an empty models/ beside it."""
    python_only = shutil.ignore_patterns(".*", "data", "run", "logs", "__pycache__", "*.env", "*.sh")
    shutil.copytree(ROOT / "runtime", root / "runtime", ignore=python_only)
    (root / "models").mkdir()
    return root


class Engine(Client):
    """Owns one `python -m runtime.engine`: its directory, port, key, log and process.

    Args:
        root: an empty directory.
        model: what LLAMA_SERVER_MODEL is set to; empty leaves it out.
        arguments: for the command line.
        env: more variables; an empty value removes one of ours.
    """

    def __init__(
        self, root: Path, model: Path | str = "", *arguments: str, env: dict[str, str] | None = None
    ) -> None:
        self.root = copy_runtime(root)
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}", API_KEY)
        self.command = [sys.executable, "-m", "runtime.engine", *arguments]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LLAMA")}
        ours = {
            "LLAMA_SERVER_PORT": str(self.port),
            "LLAMA_SERVER_API_KEY": API_KEY,
            "LLAMA_SERVER_MODEL": str(model),
            "LLAMA_SERVER_N_THREADS": "1",  # the models are too small to share out
            **(env or {}),
        }
        self.env = inherited | {k: v for k, v in ours.items() if v}
        self.log_path = root / "engine.log"
        self._log: IO[bytes] = self.log_path.open("wb")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    async def metric(self, name: str) -> float:
        """The value of a metric that has no labels."""
        shown = (await self.get("/metrics")).text
        (value,) = [line.split()[1] for line in shown.splitlines() if line.startswith(f"{name} ")]
        return float(value)

    async def is_generating(self) -> bool:
        """Whether the model is at work."""
        return await self.metric("llama_generating") == 1

    @property
    def log(self) -> str:
        """What it has said so far, on stdout and stderr."""
        return self.log_path.read_text()

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process and return at once."""
        self.process = subprocess.Popen(
            self.command, cwd=self.root, env=self.env, stdout=self._log, stderr=self._log
        )
        return self.process

    def start(self) -> Engine:
        """Start the process and wait until it serves."""
        process = self.spawn()

        def serves() -> bool:
            assert process.poll() is None, f"the engine ended:\n{self.log}"
            return self.health() == 200

        wait_until(serves, "the engine to serve", deadline_s=START_SECONDS)
        return self

    def health(self) -> int:
        """The status of GET /health; 0 where nothing answers."""
        try:
            with urlopen(f"{self.url}/health", timeout=5) as answer:
                assert json.load(answer)["status"] == "ok"
                return int(answer.status)
        except HTTPError as error:
            with error:
                return error.code
        except URLError:
            return 0

    def wait(self) -> int:
        """Wait for the process to end by itself; its exit status."""
        assert self.process is not None
        return self.process.wait(timeout=START_SECONDS)

    def stop(self) -> None:
        """End the process, the hard way if it does not listen."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()
