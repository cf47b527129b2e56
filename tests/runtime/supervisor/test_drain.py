"""What `drain` takes for idle, beside parts that are held up, which real ones are not on command."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest

from runtime.config import Config
from runtime.supervisor import drain
from runtime.supervisor.client import Supervisor
from tests.support.process import free_port
from tests.support.wait import wait_until

IDLE = b"llama_requests_running 1.0\n"
"""The request for the number counts itself."""


class Part:
    """The server or the proxy: answers each request as an idle one does, while `awake` is set."""

    def __init__(self) -> None:
        self.awake = threading.Event()
        self.asked = 0
        self.status = HTTPStatus.OK
        part = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                part.asked += 1
                part.awake.wait()
                try:
                    self.send_response(part.status)
                    self.end_headers()
                    self.wfile.write(IDLE)
                except OSError:
                    pass  # it has waited long enough

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @contextmanager
    def serving(self) -> Iterator[Part]:
        with self.http:
            thread = threading.Thread(target=self.http.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield self
            finally:
                self.awake.set()
                self.http.shutdown()
                thread.join()

    @property
    def port(self) -> int:
        return int(self.http.server_address[1])


class Announced:
    """In supervisord's place: tells whether there is a proxy to hear an announcement."""

    def __init__(self, *, proxy: bool = True) -> None:
        self._proxy = proxy

    def announce_restart(self) -> bool:
        return self._proxy


def config(root: Path, *, server: int, proxy: int) -> Config:
    """Of an appliance on these ports."""
    return Config(root=root, values={"LLAMA_SERVER_PORT": str(server), "LLAMA_PROXY_PORT": str(proxy)})


def wait_idle(config: Config, *, proxy: bool = True) -> None:
    """Drain for ten minutes at most: who waits for that is killed by the test's limit."""
    drain.drain(cast("Supervisor", Announced(proxy=proxy)), config, 600)


@pytest.mark.parametrize("silent", ["server", "proxy"])
def test_no_answer_is_not_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    """A server that is held up may be at work, a proxy that is may be about to send: `drain` waits."""
    monkeypatch.setattr(drain, "ANSWER_S", 0.1)
    monkeypatch.setattr(drain, "_PAUSE_S", 0.01)
    with ThreadPoolExecutor() as pool, Part().serving() as server, Part().serving() as proxy:
        held_up, other = (server, proxy) if silent == "server" else (proxy, server)
        other.awake.set()
        draining = pool.submit(wait_idle, config(tmp_path, server=server.port, proxy=proxy.port))
        wait_until(lambda: held_up.asked >= 4, "four tries")
        assert not draining.done()
        held_up.awake.set()
        draining.result(30)


def test_a_server_with_another_key_is_not_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was started before LLAMA_SERVER_API_KEY was changed, and may be at work."""
    monkeypatch.setattr(drain, "_PAUSE_S", 0.01)
    with ThreadPoolExecutor() as pool, Part().serving() as server, Part().serving() as proxy:
        server.status = HTTPStatus.UNAUTHORIZED
        for part in (server, proxy):
            part.awake.set()
        draining = pool.submit(wait_idle, config(tmp_path, server=server.port, proxy=proxy.port))
        wait_until(lambda: server.asked >= 4, "four tries")
        assert not draining.done()
        server.status = HTTPStatus.OK
        draining.result(30)


@pytest.mark.parametrize("proxy", [True, False])
def test_where_nothing_can_run_nothing_is_waited_for(tmp_path: Path, *, proxy: bool) -> None:
    """Neither a server that has ended, nor one without a proxy that could hold requests back."""
    wait_idle(config(tmp_path, server=free_port(), proxy=free_port()), proxy=proxy)
