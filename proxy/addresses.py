"""IP addresses: which one a request comes from, and which of them count as one client."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from multidict import CIMultiDictProxy

Networks = Sequence[IPv4Network | IPv6Network]

CLIENT_PREFIX_BITS = 64
"""An IPv6 client has a network of this size to itself (RFC 6177)."""


def client_address(peer: str, headers: CIMultiDictProxy[str], trusted: Networks) -> str:
    """The client's address: the last one in X-Forwarded-For that is not a trusted proxy's.

    Addresses before that one are what the client claims. It is the peer's address where no proxies are
    trusted and where the peer is not one of them.
    """
    address = peer
    if not trusted or not is_in(address, trusted):
        return address
    hops = ",".join(headers.getall("X-Forwarded-For", ())).split(",")
    for hop in reversed([hop.strip() for hop in hops]):
        if _parse(hop) is None:
            break
        address = hop
        if not is_in(hop, trusted):
            break
    return address


def is_in(address: str, networks: Networks) -> bool:
    """Whether the address belongs to one of the networks. False for what is not an IP address."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def client_network(address: str) -> str:
    """What the address counts as: its /64 for IPv6, itself for IPv4, any other text as it is."""
    parsed = _parse(address)
    if parsed is None:
        return address
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, CLIENT_PREFIX_BITS), strict=False))
    return str(parsed)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """The address without its zone, and as IPv4 where IPv6 only carries that; None for other text."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        return parsed.ipv4_mapped or parsed
    return parsed
