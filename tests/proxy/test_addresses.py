"""IP addresses: which count as one client, and which belong to a network."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from proxy.addresses import client_network, is_in


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),  # IPv4 on a socket of both kinds
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1%eth0", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("a unix socket", "a unix socket"),
        ("", ""),
    ],
)
def test_an_ipv6_client_counts_as_its_network(address: str, counted_as: str) -> None:
    """Other addresses count as themselves, and so does other text."""
    assert client_network(address) == counted_as


def test_mapped_addresses_belong_to_the_networks_of_ipv4() -> None:
    """Text that is not an address belongs to none."""
    networks = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert is_in("10.1.2.3", networks)
    assert is_in("::ffff:10.1.2.3", networks)
    assert is_in("2001:db8::7%eth0", networks)
    assert not is_in("192.0.2.1", networks)
    assert not is_in("10.1.2", networks)
    assert not is_in("", networks)
