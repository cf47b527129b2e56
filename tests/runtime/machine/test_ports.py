"""Claiming a port, and naming who has it."""

from __future__ import annotations

import os
import socket

import pytest

from runtime.machine.ports import PortError, claim, holder


def test_a_claimed_port_takes_connections_at_once() -> None:
    """Clients wait in its queue rather than being refused."""
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
    """A restart need not wait for TIME_WAIT to pass."""
    with claim("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address):
            served, _ = listener.accept()
            served.close()  # the side that closes first waits
    claim(*address).close()


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_a_host_that_is_not_this_machine_is_refused_by_name(host: str) -> None:
    """203.0.113.0/24 is for documentation (RFC 5737): no machine has it."""
    with pytest.raises(PortError, match=host):
        claim(host, 0)
