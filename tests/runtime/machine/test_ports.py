"""Opening a port, and naming the program that uses it."""

from __future__ import annotations

import os
import socket

import pytest

from runtime.machine.ports import PortError, claim, holder


def test_a_claimed_port_takes_connections_at_once() -> None:
    """Clients wait in the socket's queue instead of being refused."""
    with claim("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        client, _ = listener.accept()
        client.close()


def test_a_port_in_use_is_refused_with_its_holder() -> None:
    """The message names the port, the process and its id."""
    with claim("localhost", 0) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(PortError) as raised:
            claim("127.0.0.1", port)

        assert f"port {port} on 127.0.0.1 is already in use by " in str(raised.value)
        assert f"(pid {os.getpid()})" in str(raised.value)
    assert holder(port) == ""


def test_a_port_can_be_claimed_again_when_its_connections_were_just_closed() -> None:
    """A restart does not have to wait for TIME_WAIT."""
    with claim("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address):
            served, _ = listener.accept()
            served.close()  # the side that closes first waits
    claim(*address).close()


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_a_host_that_is_not_this_machine_is_refused_by_name(host: str) -> None:
    """No machine has an address in 203.0.113.0/24, which is for documentation (RFC 5737)."""
    with pytest.raises(PortError, match=host):
        claim(host, 0)
