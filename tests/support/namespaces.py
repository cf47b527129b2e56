"""Network namespaces with a link to this one: machines of their own, as far as the network goes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import Engine

MOST = 4
"""Namespaces at a time."""


class NoNamespacesError(Exception):
    """This user or machine cannot make network namespaces."""


@dataclass(frozen=True)
class Namespace:
    """One namespace. `address` is its own, seen from here."""

    name: str
    link: str
    address: str

    @property
    def prefix(self) -> list[str]:
        """What a command begins with that runs in it; it becomes that command's process."""
        return ["ip", "netns", "exec", self.name]

    def connect(self, *, up: bool) -> None:
        """Plug the cable in, or pull it.

        At its far end: the route stays, and nothing is sent to a gateway, which may answer instead.
        """
        _ip("-n", self.name, "link", "set", "eth0", "up" if up else "down")


def engine_on(machine: Namespace, root: Path, model: Path, *, slots: int) -> Engine:
    """An engine in a namespace, with so many slots; it has not been started."""
    env = {"LLAMA_SERVER_PARALLEL": str(slots), "LLAMA_SERVER_HOST": machine.address}
    root.mkdir(exist_ok=True)
    engine = Engine(root, model, env=env)
    engine.command = [*machine.prefix, *engine.command]
    engine.url = f"http://{machine.address}:{engine.port}"
    return engine


@contextmanager
def namespaces(count: int) -> Iterator[list[Namespace]]:
    """Make so many, and remove them.

    Raises:
        NoNamespacesError: they cannot be made here.
    """
    assert count <= MOST
    made: list[Namespace] = []
    try:
        for number in range(count):
            name, subnet = f"lsb{os.getpid()}-{number}", _subnet(os.getpid(), number)
            made.append(Namespace(name, f"lsb{os.getpid() % 10**6}v{number}", f"{subnet}.2"))
            _ip("netns", "add", name)
            _ip("link", "add", made[-1].link, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("addr", "add", f"{subnet}.1/30", "dev", made[-1].link)
            _ip("link", "set", made[-1].link, "up")
            _ip("-n", name, "addr", "add", f"{subnet}.2/30", "dev", "eth0")
            for device in ("eth0", "lo"):
                _ip("-n", name, "link", "set", device, "up")
        yield made
    finally:
        for one in made:
            subprocess.run(["ip", "netns", "del", one.name], capture_output=True, check=False)


def _subnet(pid: int, number: int) -> str:
    """Of another network for each process: tests may run beside a benchmark (RFC 2544's addresses)."""
    return f"198.{18 + pid % 2}.{(pid // 2 * MOST + number) % 256}"


def _ip(*arguments: str) -> None:
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoNamespacesError(str(error)) from error
    if done.returncode:
        raise NoNamespacesError(done.stderr.strip())
