"""Who may see what is for operators: administrators by their keys, and programs on this machine.

A program on this machine is a peer with a loopback address. Neither a reverse proxy's clients nor web
pages count as one: the first are seen by the headers that reverse proxies add, or by
LLAMA_PROXY_TRUSTED_PROXIES, the second by headers that a page cannot choose: Host (DNS rebinding), and
Origin and Sec-Fetch-Site, which browsers add (https://www.w3.org/TR/fetch-metadata/).
"""

from __future__ import annotations

from ipaddress import ip_address

from multidict import CIMultiDictProxy

from proxy import errors
from proxy.edge.request import Request
from proxy.identity.authentication.authenticator import Authenticator
from proxy.identity.authentication.credentials import KEY_HEADERS, key_of
from proxy.identity.principal import Principal

_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")
"""Any of these says that somebody else sent the request first."""


async def administrator(authenticator: Authenticator, request: Request, client: str) -> Principal:
    """The administrator whose key the request has.

    Raises:
        ApiError: 401 without a valid key, 403 with the key of somebody else, 429, 503.
    """
    principal = await authenticator.authenticate(key_of(request.headers, request.target), client)
    if not principal.is_admin:
        raise errors.admin_required()
    return principal


def is_local(request: Request, client: str) -> bool:
    """Whether a program on this machine sent the request itself, and without a key.

    `client`: its address.
    """
    headers = request.headers
    if any(name in headers for name in (*_FORWARDED, "Authorization", *KEY_HEADERS)):
        return False
    if _is_of_page(headers):
        return False
    return _is_loopback(request.client.remote) and _is_loopback(client) and _names_loopback(headers)


def _is_of_page(headers: CIMultiDictProxy[str]) -> bool:
    # `none`: the address was typed or is a bookmark; no page can read the response.
    return "Origin" in headers or any(v != "none" for v in headers.getall("Sec-Fetch-Site", ()))


def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def _names_loopback(headers: CIMultiDictProxy[str]) -> bool:
    host = headers.get("Host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name.lower() == "localhost" or _is_loopback(name.strip("[]"))
