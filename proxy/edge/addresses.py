"""Where a request comes from: the peer, or what a trusted reverse proxy in front says of it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address

from multidict import CIMultiDictProxy

Networks = tuple[IPv4Network | IPv6Network, ...]


def client_address(peer: str, headers: CIMultiDictProxy[str], trusted: Networks) -> str:
    """The client's address: the last one in X-Forwarded-For that no trusted proxy has.

    What stands before it there is the client's own word. Without trusted proxies, and for a peer that
    is none, it is the peer's.
    """
    address = peer
    if not trusted or not _is_in(address, trusted):
        return address
    hops = ",".join(headers.getall("X-Forwarded-For", ())).split(",")
    for hop in reversed([hop.strip() for hop in hops]):
        try:
            ip_address(hop)
        except ValueError:
            break
        address = hop
        if not _is_in(hop, trusted):
            break
    return address


def _is_in(address: str, networks: Networks) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)
