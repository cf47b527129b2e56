"""`python -m proxy`, and the dashboard, as processes of their own, for tests that start or kill them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from runtime.config import KEYS, ROOT
from tests.support.wait import wait_until

_PORTS = iter(range(20_000, 32_768))
"""Those not tried yet. They are below what the system takes for connections and for port 0 (from 32768
on Linux, from 49152 on macOS), and above the ports of Ray's workers."""


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, and that no other test of the machine is given.

    The UDP port of the same number is taken until the process ends: so tests show it to one another.
    """
    for port in _PORTS:
        with (
            suppress(OSError),
            socket.socket(type=socket.SOCK_DGRAM) as mark,
            socket.socket() as probe,
        ):
            mark.bind(("127.0.0.1", port))
            probe.bind(("127.0.0.1", port))
            mark.detach()
            return port
    raise AssertionError("all ports are taken")


class ProxyProcess:
    """An async context: the proxy serves within it and is killed at its end if it still runs."""

    MODULE = "proxy"
    PORT = "LLAMA_PROXY_PORT"

    def __init__(
        self,
        directory: Path,
        *,
        python: str = sys.executable,
        prefix: Sequence[str] = (),
        **configuration: str,
    ) -> None:
        """`prefix` is what its command begins with, where it runs in a network of its own."""
        self._python = [*prefix, python]
        self._prefix = prefix
        self.port = int(configuration.setdefault(self.PORT, str(free_port())))
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / f"{self.MODULE}-{self.port}.log"
        self._environment = {k: v for k, v in os.environ.items() if k not in KEYS}
        self._environment |= {"LLAMA_DATA_DIR": str(directory / "data"), **configuration}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **arguments: object) -> subprocess.Popen[bytes]:
        """Start it, without waiting for anything."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._python, "-m", self.MODULE],
                cwd=ROOT,
                env=self._environment,
                stderr=log,
                **arguments,  # type: ignore[call-overload]
            )
        assert self.process is not None
        return self.process

    async def __aenter__(self) -> ProxyProcess:
        self.start()
        # In a thread: the engine in front of which it stands may live in this event loop.
        try:
            await asyncio.to_thread(wait_until, self.answers, "the proxy to answer")
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    def answers(self) -> bool:
        """True if the proxy answers /healthz."""
        assert self.process is None or self.process.poll() is None, self.log.read_text()
        if self._prefix:
            ask = f"import urllib.request as r; r.urlopen({self.url + '/healthz'!r}, timeout=5)"
            asked = subprocess.run([*self._python, "-c", ask], capture_output=True, check=False)
            return asked.returncode == 0
        try:
            with urllib.request.urlopen(self.url + "/healthz", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError):
            return False

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def wait(self, timeout_s: float = 20) -> int:
        """Its exit status."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, timeout_s)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if error is not None and self.log.exists():
            print(self.log.read_text())


class DashboardProcess(ProxyProcess):
    """The same of `python -m proxy.dashboard`. What it runs of the console has this environment."""

    MODULE = "proxy.dashboard"
    PORT = "LLAMA_DASHBOARD_PORT"

    def __init__(self, directory: Path, *, prefix: Sequence[str] = (), **configuration: str) -> None:
        super().__init__(directory, prefix=prefix, LLAMA_VENV_DIR=sys.prefix, **configuration)


def heed_interrupts() -> None:
    """Restore SIGINT in a child before its program starts: shells ignore it in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


UNHEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGCHLD)


def hear_no_signals() -> None:
    """In a child before its program starts: ignore signals, as nohup does, and block them, too."""
    for number in UNHEARD:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, UNHEARD)
