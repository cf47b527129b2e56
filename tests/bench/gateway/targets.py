"""The servers that requests are sent to: the mock itself, our proxy, and installed peers.

Those of a scenario live at the same time in front of one mock, on free ports of 127.0.0.1, and are asked
in turn; who is not asked does next to nothing. Leaves how peers are found to `peers.py`, what is sent to
`scenarios.py`.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.database import schema
from proxy.database.pool import connect
from proxy.server import INHERITED_FD
from runtime.config import KEYS, ROOT
from tests.bench.gateway.loop import Job
from tests.bench.gateway.mock import MODEL
from tests.bench.gateway.peers import PEERS, Launch, Peer, Place
from tests.bench.gateway.users import make_users
from tests.bench.processes import Tree, running
from tests.support.postgres import Postgres
from tests.support.process import free_port
from tests.support.wait import wait_until

OURS = "ours"
DIRECT = "direct"
START_S = 120.0
"""LiteLLM needs half a minute on a busy machine."""
PAUSE_S = 0.05
SETTINGS = {
    # As an engine that takes many at a time would have it: it is not turns that are measured here.
    "LLAMA_PROXY_MAX_CONCURRENT": "10000",
    "LLAMA_PROXY_QUEUE_SIZE_PER_USER": "10000",
    "LLAMA_PROXY_QUEUE_SIZE": "10000",
    # All clients are one address here, which may have a quarter of all.
    "LLAMA_PROXY_MAX_CONNECTIONS": "8192",
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """One that runs.

    Args:
        tree: its processes.
        keys: requests have these in turn.
        headers: they have these besides.
        database: the processes of its database, if it has one.
    """

    name: str
    port: int
    tree: Tree
    keys: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    database: Tree | None = None

    def job(self, body: str, *, connections: int, seconds: float, requests: int = 0) -> Job:
        """Requests to it with this body."""
        return Job(
            port=self.port,
            headers=dict(self.headers),
            keys=list(self.keys),
            body=body,
            connections=connections,
            seconds=seconds,
            requests=requests,
        )

    def answers(self) -> bool:
        """True if it answers a chat request correctly."""
        key = {"Authorization": f"Bearer {self.keys[0]}"} if self.keys else {}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            try:
                connection.request(
                    "POST",
                    "/v1/chat/completions",
                    chat_body("Hello"),
                    {"Content-Type": "application/json", **self.headers, **key},
                )
                return b"chat.completion" in connection.getresponse().read()
            except (OSError, HTTPException):
                return False


def chat_body(content: str, *, stream: bool = False) -> str:
    """A chat request as JSON."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": content}]}
    return json.dumps(body | ({"stream": True} if stream else {}), separators=(",", ":"))


def asked_in_turn(port: int, key: str, count: int) -> Iterator[bytes]:
    """Send one small chat request after the other on one connection; yields the answers."""
    body = chat_body("Hello").encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        for _ in range(count):
            connection.sendall(head.encode() + body)
            answer = b""
            while not answer.endswith(b"}}"):
                more = connection.recv(65_536)
                assert more, answer
                answer += more
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
            yield answer


class StartError(Exception):
    """A gateway did not come up; the text says which, and what to do."""


class Targets:
    """A context that owns the servers and a directory with what they write. All are gone after it.

    Args:
        postgres: for our databases.
        peers: the names of those that are to run besides.
        installed: the directory that peers are installed in.
    """

    def __init__(self, *, postgres: Postgres, peers: Sequence[str], installed: Path) -> None:
        self._postgres = postgres
        self._peers = peers
        self._installed = installed
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.direct = self._start_mock(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):  # not for who ends it
            for log in sorted(self._folder.glob("*.log")):
                if text := log.read_text(errors="replace")[-2000:]:
                    print(f"== {log.name}\n{text}", file=sys.stderr)
        self._stack.close()

    def _start_mock(self, stack: ExitStack) -> Target:
        log = self._folder / "mock.log"
        process = stack.enter_context(running([sys.executable, "-m", "tests.bench.gateway.mock"], log))
        wait_until(lambda: log.read_text().endswith("\n"), "the mock's port")
        port = int(log.read_text())
        return Target(name=DIRECT, port=port, tree=Tree(process.pid))

    def all(self) -> list[Target]:
        """The mock itself, ours, and every peer."""
        return [self.direct, self.ours(), *self.peers(*self._peers)]

    def peers(self, *names: str) -> list[Target]:
        """Start those of these that are to run."""
        return [self._start_peer(PEERS[name]) for name in names if name in self._peers]

    def ours(self, name: str = OURS, *, users: int = 1, keys: int = 1, **settings: str) -> Target:
        """Start our proxy as the supervisor does: a process that inherits its listening socket.

        Its database is its own and has so many users; requests to it have so many of their keys in
        turn. Its settings are the defaults but for SETTINGS and `settings`, whatever the checkout's are.
        """
        assert self._postgres.process is not None
        url = self._postgres.fresh_database()
        with connect(url, application="bench") as connection:
            schema.migrate(connection)
            made = make_users(connection, users=users, keys=keys)
        environment = dict.fromkeys(KEYS, "") | SETTINGS | settings
        environment |= {
            "LLAMA_DATA_DIR": str(self._folder / name),
            "LLAMA_SERVER_DATABASE_URL": url,
            "LLAMA_SERVER_BACKEND_URL": f"http://127.0.0.1:{self.direct.port}",
            "LLAMA_SERVER_API_KEY": "engine-key",
            INHERITED_FD: "0",
            "FROZENLIST_NO_EXTENSIONS": "1",  # runtime/supervisor/program.sh says why
        }
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            port = int(listener.getsockname()[1])
            process = self._run(
                name, [sys.executable, "-m", "proxy"], environment, stdin=listener.fileno()
            )
        return self._ready(
            Target(
                name=name,
                port=port,
                tree=Tree(process.pid),
                keys=made,
                database=Tree(self._postgres.process.pid),
            ),
            process,
        )

    def _start_peer(self, peer: Peer) -> Target:
        folder = self._folder / peer.name
        folder.mkdir()
        place = Place(
            installed=self._installed, folder=folder, port=free_port(), engine_port=self.direct.port
        )
        launch = peer.launch(place)
        assert launch is not None, f"{peer.name} is not installed"
        process = self._run(peer.name, launch.command, launch.environment, folder=folder)
        return self._ready(_target_of(peer, launch, place.port, process.pid), process)

    def _run(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path = ROOT,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        log = self._folder / f"{name}.log"
        server = running(command, log, folder=folder, environment=environment, stdin=stdin)
        return self._stack.enter_context(server)

    @staticmethod
    def _ready(target: Target, process: subprocess.Popen[bytes]) -> Target:
        deadline = time.monotonic() + START_S
        while not target.answers():
            ended = process.poll() is not None
            if ended or time.monotonic() > deadline:
                why = f"ended with {process.returncode}" if ended else f"did not answer in {START_S:g} s"
                raise StartError(
                    f"{target.name} {why}, its log is above: install it anew, or leave it out (--peers)"
                )
            time.sleep(PAUSE_S)
        return target


def _target_of(peer: Peer, launch: Launch, port: int, pid: int) -> Target:
    return Target(
        name=peer.name,
        port=port,
        tree=Tree(pid),
        keys=[launch.key] if launch.key else [],
        headers=launch.headers,
    )
