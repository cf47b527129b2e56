"""The servers that are measured, and the models they are given.

All are started from the same Python environment with the same file, on free ports of 127.0.0.1. Those of
one measurement run at the same time and are asked in turn; who is not asked does nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from gguf import GGUFReader

from tests.bench.client import Client
from tests.bench.processes import running
from tests.support.engine import Engine
from tests.support.gguf import Shape, build_model
from tests.support.process import free_port
from tests.support.stock import StockServer
from tests.support.wait import wait_until

T = TypeVar("T")

CONTEXT = 8192
"""Tokens, of every server but one that is to have its own defaults."""
MEDIUM = Shape(layers=12, width=512, heads=8, feed_forward=1536)
"""A prompt of some thousand tokens takes it seconds, an answer of some hundred a few."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server."""

    name: str
    clients: tuple[Client, ...]
    """One, or one for each user."""
    pid: int

    @property
    def client(self) -> Client:
        """The first client."""
        return self.clients[0]

    def cpu_s(self) -> float | None:
        """Processor seconds it has used so far, user and system; None where Linux's /proc is not."""
        return cpu_s(self.pid)

    def resident_bytes(self) -> int | None:
        """Of its memory, without the mapped file; None where Linux's /proc is not."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return None
        (kilobytes,) = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
        return int(kilobytes) * 1024


def cpu_s(pid: int) -> float | None:
    """Processor seconds of a process so far, user and system; None where Linux's /proc is not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Fleet:
    """A context that owns a directory with models, and servers. All are gone after it.

    Args:
        threads: of each server but those with their own defaults; 0 leaves ours its own, too.
    """

    def __init__(self, *, threads: int) -> None:
        self._threads = threads
        self._stack = ExitStack()

    def __enter__(self) -> Fleet:
        self._root = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def model(
        self, name: str, shape: Shape, extra_tokens: Sequence[str] = (), *, quantized: bool = False
    ) -> Path:
        """Build a model."""
        path = self._root / f"{name}.gguf"
        return build_model(
            path,
            shape=shape,
            context_length=CONTEXT,
            extra_tokens=extra_tokens,
            quantized=quantized,
        )

    def ours(self, model: Path, *, name: str = "ours", **settings: object) -> Server:
        """Start Llamaserve's engine; its settings are its defaults, with `settings` over them."""
        threads = str(self._threads) if self._threads else ""  # empty: the engine chooses
        env = {"LLAMA_SERVER_N_THREADS": threads, "LLAMA_SERVER_N_CTX": str(CONTEXT)}
        env |= {f"LLAMA_SERVER_{key.upper()}": str(value) for key, value in settings.items()}
        server = self._stack.enter_context(Engine(self._directory(), model, env=env)).start()
        assert server.process is not None
        return self._running(name, server.port, server.headers, server.process.pid)

    def bare(self, model: Path, *, name: str = "stock", **settings: object) -> Server:
        """Start the stock server at our engine's settings, with `settings` over them."""
        same = {
            "n_ctx": CONTEXT,
            "n_batch": 512,
            "n_threads": self._threads,
            "n_threads_batch": self._threads,
            "logits_all": False,
            "interrupt_requests": False,
            "verbose": False,
        }
        return self._stock(name, model, **{**same, **settings})

    def defaults(self, model: Path, *, name: str = "stock's defaults") -> Server:
        """Start the stock server with nothing but a model, a port and a key."""
        return self._stock(name, model, n_threads="", n_threads_batch="")

    def llama_server(self, model: Path, *arguments: str) -> Server | None:
        """Start llama.cpp's own server with a model, a port and `arguments` alone; None if it is not on
        the PATH."""
        program = shutil.which("llama-server")
        if program is None:
            return None
        port = free_port()
        command = [program, "-m", str(model), "--host", "127.0.0.1", "--port", str(port)]
        command += arguments
        process = self._stack.enter_context(running(command, self._directory() / "log"))

        def answers() -> bool:
            assert process.poll() is None, "llama-server ended"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    return True
            except OSError:
                return False

        wait_until(answers, "llama-server to answer")
        return self._running("llama-server", port, {}, process.pid)

    def _stock(self, name: str, model: Path, **settings: object) -> Server:
        env = {name.upper(): str(value) for name, value in settings.items()}
        stock = StockServer(self._directory(), model, env=env)
        server = self._stack.enter_context(stock).start()
        assert server.process is not None
        return self._running(name, server.port, server.headers, server.process.pid)

    def _directory(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._root))

    @staticmethod
    def _running(name: str, port: int, headers: dict[str, str], pid: int) -> Server:
        server = Server(name=name, clients=(Client(port, headers),), pid=pid)
        # The first answer is slower: the file is read, modules are loaded.
        server.client.whole({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4})
        return server


def in_turn(servers: Sequence[T], number: int) -> list[T]:
    """The servers, rotated so that another one is first in each round."""
    start = number % len(servers)
    return [*servers[start:], *servers[:start]]


def described(model: Path) -> str:
    """A model's name and size, for the report."""
    reader = GGUFReader(model)
    parameters = sum(int(tensor.n_elements) for tensor in reader.tensors)
    (tokens,) = [
        int(tensor.shape[-1]) for tensor in reader.tensors if tensor.name == "token_embd.weight"
    ]
    return (
        f"model: {model.stem}, {parameters / 1e6:.1f} million parameters, {tokens:,} tokens, "
        f"{model.stat().st_size / 2**20:.0f} MiB"
    )
