"""The stock llama_cpp.server, without any of our guards, as a process of its own.

Owns the process, its port, key and log, and reads from the log what the model is at. What the server
does wrong is for the tests to say.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llama_cpp.server.settings import Settings

from tests.support.client import Answer, Client
from tests.support.process import free_port
from tests.support.wait import until, wait_until

API_KEY = "test-stock-key"
START_SECONDS = 60
_OURS = {"INTERRUPT_REQUESTS": "false", "LOGITS_ALL": "false"}


class StockServer(Client):
    """Owns one `python -m llama_cpp.server`, whose settings are its own defaults but for those given.

    A context: ends the process at its end. It can be started anew after its process has ended.

    Args:
        root: for its log; the process's working directory.
        model: the GGUF file.
        arguments: for the command line, after those that name the address.
        ours: changes the settings that Llamaserve changes: what is wrong even with these is for a guard
            to put right.
        env: more variables, as they are; an empty value removes one of ours.
        settings: of the server, given in the environment.
    """

    def __init__(
        self,
        root: Path,
        model: Path,
        *arguments: str,
        ours: bool = False,
        env: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        self.root = root
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}", API_KEY)
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        self.command = [sys.executable, "-m", "llama_cpp.server", *address, *arguments]
        # It takes any variable that is named like a setting: a developer's own must not reach it.
        known = {"config_file", *Settings.model_fields}
        inherited = {k: v for k, v in os.environ.items() if k.lower() not in known}
        given = {
            "MODEL": str(model),
            "API_KEY": API_KEY,
            "N_THREADS": "1",  # the models are too small to share out
            "N_THREADS_BATCH": "1",
            "GGML_NO_BACKTRACE": "1",  # its dying is quicker without a debugger, and no different
            **(_OURS if ours else {}),
            **{name.upper(): str(value) for name, value in settings.items()},
            **(env or {}),
        }
        self.env = inherited | {k: v for k, v in given.items() if v}
        self.log_path = root / f"stock-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> StockServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """Its output so far, stdout and stderr."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def alive(self) -> bool:
        """True while its process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def memory(self) -> tuple[int, int]:
        """Its resident and its virtual size, in bytes."""
        command = ["ps", "-o", "rss=,vsz=", "-p", str(self.pid)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        resident, virtual = shown.split()
        return int(resident) * 1024, int(virtual) * 1024

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process and return at once."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.root, env=self.env, stdout=log, stderr=log
            )
        return self.process

    def start(self) -> StockServer:
        """Start the process and wait until it serves."""
        said = len(self.log)
        process = self.spawn()

        def serves() -> bool:
            assert process.poll() is None, f"the stock server ended:\n{self.log}"
            return "Uvicorn running on" in self.log[said:]

        wait_until(serves, "the stock server to serve", deadline_s=START_SECONDS)
        return self

    def wait(self, timeout_s: float = START_SECONDS) -> int:
        """Wait for the process to end by itself; its exit status, negative for a signal."""
        assert self.process is not None
        return self.process.wait(timeout=timeout_s)

    def terminate(self) -> None:
        """Send SIGTERM, and wait for nothing."""
        assert self.process is not None
        self.process.terminate()

    def stop(self) -> None:
        """Kill the process: a generation under way would delay SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    async def begin(self, **body: Any) -> asyncio.Task[Answer]:
        """A chat that the model has begun with when this returns. Cancel the task to leave.

        The server must have answered another one before: it does not speak of the first.
        """
        begun = self.begun
        task = asyncio.create_task(self.chat(**body))
        await until(lambda: self.begun > begun, "the generation to begin")
        return task

    @property
    def begun(self) -> int:
        """How many generations its log says have begun: all but the first of a process."""
        return self.log.count("Llama.generate: ")

    @property
    def ended(self) -> list[int]:
        """The tokens of each generation that went to its end, as its log counts them: one less
        than were drawn, unless the whole prompt was there from the request before."""
        return [int(runs) for runs in re.findall(r"  eval time = .* / +(\d+) runs", self.log)]
