"""A network of its own: a loopback, and a way out that leads nowhere and is watched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runtime.config import ROOT
from tests.support.own_machine import namespaces
from tests.support.wait import wait_until

ELSEWHERE, RESOLVER = "192.0.2.80", "192.0.2.53"
"""An address beyond the way out, and the only resolver (https://www.rfc-editor.org/rfc/rfc5737)."""
_SETUP = f"""
ip link set lo up
ip link add out0 type veth peer name out1
ip link set out0 arp off up
ip link set out1 up
ip addr add 192.0.2.1/24 dev out0
ip -6 addr add fd00::1/64 dev out0 nodad
ip route add default via 192.0.2.254 dev out0
ip -6 route add default dev out0
mount --make-rprivate /
printf 'nameserver {RESOLVER}\\n' >'{{resolvers}}'
mount --bind '{{resolvers}}' /etc/resolv.conf
"""
_WATCH = """
import ipaddress, socket
DOTS, UDP_53 = bytes([46] * 32) + bytes(range(32, 256)), bytes([17, 0, 53])
watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
watch.bind(("out0", 3))
print("watching", flush=True)
while True:
    packet, about = watch.recvfrom(65536)
    place = {0x0800: slice(16, 20), 0x86DD: slice(24, 40)}.get(about[1])
    if about[2] == socket.PACKET_OUTGOING:
        to = str(ipaddress.ip_address(packet[place])) if place else hex(about[1])
        asked = packet[9:10] + packet[22:24] == UDP_53
        print(to + (" for " + packet[41:-5].translate(DOTS).decode() if asked else ""), flush=True)
"""
_OF_THE_KERNEL = ("ff02::2", "ff02::16")
"""Routers are asked for, and groups are joined, by IPv6 itself."""


@dataclass(frozen=True)
class WatchedNetwork:
    """`prefix` is what a command begins with that runs there."""

    prefix: list[str]
    _noted: Path

    def sent(self) -> list[str]:
        """Where packets were sent, one by one; to a resolver with the name that was asked for."""
        return [to for to in self._noted.read_text().splitlines()[1:] if to not in _OF_THE_KERNEL]


@contextmanager
def watched_network(directory: Path) -> Iterator[WatchedNetwork]:
    """Make it, for as long as the context lasts; the test is skipped where that cannot be."""
    resolvers, noted = directory / "resolv.conf", directory / "packets"
    with namespaces(_SETUP.format(resolvers=resolvers)) as prefix:
        with noted.open("wb") as file:
            watch = subprocess.Popen([*prefix, sys.executable, "-c", _WATCH], stdout=file)
        with watch:
            try:
                wait_until(lambda: "watching" in noted.read_text(), "the way out to be watched")
                # Whoever enters other mounts stands at their root.
                yield WatchedNetwork([*prefix, "env", f"--chdir={ROOT}"], noted)
            finally:
                watch.kill()
