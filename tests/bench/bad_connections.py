"""What bad connections cost the proxy: memory and descriptors before, at the peak and afterwards.

    python -m tests.bench.bad_connections [--count 1000] [--hold 20] [--settle 120] [KIND …]

Each kind meets a proxy of its own, in front of an engine that answers at once. COUNT connections are
opened from several loopback addresses, since one address may have a quarter of all; they are held for
HOLD seconds and closed, and SETTLE seconds later the proxy is measured again. The last column is how
long a health check took while they were there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import trustme

from proxy.database import schema
from proxy.database.pool import connect
from proxy.edge.acceptor import raise_descriptor_limit
from proxy.identity import users
from tests.bench.processes import Tree
from tests.support.mock_engine import mock_engine
from tests.support.postgres import Postgres
from tests.support.process import ProxyProcess
from tests.support.wait import until

PER_ADDRESS = 250
LOOK_EVERY_S = 0.25
PATIENCE_S = 30.0
MB = 2**20
_KEY = b"{KEY}"
_JUNK = b"lsk_junk"


def _post(key: bytes, *lines: bytes) -> bytes:
    head = [b"POST /v1/completions HTTP/1.1", b"Host: h", b"Authorization: Bearer " + key, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One way of doing harm.

    Args:
        first: sent at once.
        then: sent again and again: each second, or without a pause where `floods`.
    """

    first: bytes = b""
    then: bytes = b""
    floods: bool = False
    tls: bool = False


_MANY_HEADERS = b"".join(b"%d:\r\n" % number for number in range(95))
_TINY = b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n"
KINDS = {
    "silent": Kind(),
    "half-open TLS handshakes": Kind(tls=True, first=b"\x16\x03\x01"),
    "heads, a byte a second": Kind(first=b"GET / HTTP/1.1\r\nX: ", then=b"x"),
    "large heads without an end": Kind(
        first=b"GET / HTTP/1.1\r\n" + (b"X: " + b"x" * 4000 + b"\r\n") * 16
    ),
    "pipelined heads with many headers": Kind(
        then=(_TINY[:-2] + _MANY_HEADERS + b"\r\n") * 100, floods=True
    ),
    "pipelined tiny heads": Kind(then=_TINY * 1000, floods=True),
    "bodies of 16 MB, a byte a second, with a key": Kind(
        first=_post(_KEY, b"Content-Length: 16777216"), then=b"x"
    ),
    "bodies without a key, as fast as they go": Kind(
        first=_post(_JUNK, b"Content-Length: 16777216"), then=b"x" * 65_536, floods=True
    ),
    "chunk extensions without an end": Kind(
        first=_post(_KEY, b"Transfer-Encoding: chunked") + b"2;x=", then=b"x" * 65_536, floods=True
    ),
    "input behind a last response": Kind(
        first=_post(_JUNK, b"Connection: close", b"Content-Length: 0"), then=b"x" * 65_536, floods=True
    ),
}


class Attack:
    """Connections of one kind to a port, in this process."""

    def __init__(self, kind: Kind, port: int, count: int, key: str) -> None:
        self._kind = kind
        self._key = key.encode()
        self._connections: list[socket.socket] = []
        for number in range(count):
            connection = socket.socket()
            with contextlib.suppress(OSError):  # where there is one loopback address only
                connection.bind((f"127.0.0.{2 + number // PER_ADDRESS}", 0))
            connection.connect(("127.0.0.1", port))
            connection.setblocking(False)
            self._connections.append(connection)
        self._send(kind.first)

    def go_on(self) -> None:
        """Send what this kind sends again and again."""
        self._send(self._kind.then)

    def close(self) -> None:
        """Close all of them."""
        for connection in self._connections:
            connection.close()

    def _send(self, data: bytes) -> None:
        data = data.replace(_KEY, self._key)
        for connection in self._connections:
            if data:
                with contextlib.suppress(OSError):
                    connection.send(data)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The proxy at one moment."""

    resident_mb: float
    descriptors: int

    @classmethod
    def of(cls, proxy: ProxyProcess) -> Sample:
        """Measure it."""
        assert proxy.process is not None
        pid = proxy.process.pid
        return cls(
            resident_mb=Tree(pid).resident_bytes() / MB, descriptors=len(os.listdir(f"/proc/{pid}/fd"))
        )

    def __str__(self) -> str:
        return f"{self.resident_mb:7.1f} MB {self.descriptors:5d} fd"


def measure(
    proxy: ProxyProcess, kind: Kind, key: str, options: argparse.Namespace
) -> tuple[list[Sample], float]:
    """The proxy before, at the peak and afterwards, and how long a health check took at the end of it.

    That is infinite where it was not answered within PATIENCE_S.
    """
    before = peak = Sample.of(proxy)
    attack = Attack(kind, proxy.port, options.count, key)
    end = time.monotonic() + options.hold
    try:
        while time.monotonic() < end:
            attack.go_on()
            now = Sample.of(proxy)
            peak = max(peak, now, key=lambda sample: sample.resident_mb)
            time.sleep(0 if kind.floods else LOOK_EVERY_S * 4)
        served_s = 0.0 if kind.tls else _health_check_s(proxy.port)
    finally:
        attack.close()
    time.sleep(options.settle)
    return [before, peak, Sample.of(proxy)], served_s


def _health_check_s(port: int) -> float:
    """How long a client waits who is none of them."""
    begun = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert client.recv(65_536).startswith(b"HTTP/1.1 200 OK")
    except TimeoutError:
        return math.inf
    return time.monotonic() - begun


async def _run(name: str, configuration: dict[str, str], key: str, options: argparse.Namespace) -> None:
    kind = KINDS[name]
    with tempfile.TemporaryDirectory() as folder:
        if kind.tls:
            pem = Path(folder) / "server.pem"
            trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
            configuration |= {"LLAMA_PROXY_TLS_CERT": str(pem), "LLAMA_PROXY_TLS_KEY": str(pem)}
        proxy = ProxyProcess(Path(folder), **configuration)
        proxy.start()
        try:
            await until(lambda: b"listening" in proxy.log.read_bytes(), "the proxy to listen")
            samples, served_s = await asyncio.to_thread(measure, proxy, kind, key, options)
            print(f"{name:46}", *samples, f"{served_s:6.2f} s", sep="  ", flush=True)
        finally:
            await proxy.__aexit__(None, None, None)


def main() -> None:
    """Measure the kinds that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=" | ".join(KINDS))
    parser.add_argument("--count", type=int, default=1000, help="connections")
    parser.add_argument("--hold", type=float, default=20.0, help="seconds for which they are held")
    parser.add_argument("--settle", type=float, default=120.0, help="seconds until the last figure")
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(unknown)}")
    raise_descriptor_limit()
    with Postgres(fsync=False) as postgres, mock_engine() as engine_url:
        url = postgres.fresh_database()
        with connect(url, application="bench") as connection:
            schema.migrate(connection)
            key = users.create_user(connection, username="mallory", rate_limit=10**6).key
        configuration = {"LLAMA_SERVER_DATABASE_URL": url, "LLAMA_SERVER_BACKEND_URL": engine_url}
        print(
            f"{options.count} connections of each kind: before, at the peak, {options.settle:g} s later"
        )
        for name in options.kinds or KINDS:
            asyncio.run(_run(name, dict(configuration), key, options))


if __name__ == "__main__":
    main()
