"""What is printed with a new key, and the addresses under which others reach this server."""

from __future__ import annotations

import socket

from proxy.admin import client_snippets
from runtime.config import Config, bracketed

_WILDCARDS = {"0.0.0.0": socket.AF_INET, "::": socket.AF_INET6}  # noqa: S104 - not bound
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses for documentation (RFC 5737, RFC 3849): nothing is sent there."""


def lines(config: Config, key: str) -> list[str]:
    """The text that follows a new key."""
    url = url_for_others(config)
    return [
        "Try it:",
        "",
        *_indented(client_snippets.curl(url, key)),
        "",
        "OpenAI's and Anthropic's clients read:",
        "",
        *_indented(client_snippets.environment(url, key)),
    ]


def _indented(text: str) -> list[str]:
    return ["  " + line for line in text.splitlines()]


def url_for_others(config: Config) -> str:
    """The proxy's URL as other machines reach it, if it listens to them; otherwise as this one does."""
    return _for_others(config.proxy_url, config.text("LLAMA_PROXY_HOST"))


def is_local_only(config: Config) -> bool:
    """Whether the proxy listens to this machine alone."""
    return config.text("LLAMA_PROXY_HOST") in _LOOPBACK


def invitation_link(config: Config, code: str) -> str:
    """The address of the dashboard's page where an invitation is used."""
    url = _for_others(config.dashboard_url, config.text("LLAMA_DASHBOARD_HOST"))
    return f"{url}/invitation/{code}"


def dashboard_hint(config: Config) -> str:
    """What stands in the way of those who open a link to the dashboard; empty: nothing known."""
    if not config.switch("LLAMA_DASHBOARD_ENABLED"):
        return "The dashboard is off (LLAMA_DASHBOARD_ENABLED=0): the link works once it is on."
    if config.text("LLAMA_DASHBOARD_HOST") in _LOOPBACK:
        return (
            "The dashboard listens to this machine only: for others, set LLAMA_DASHBOARD_HOST, or put "
            "the address of your reverse proxy in front of /invitation/."
        )
    return ""


def _for_others(url: str, host: str) -> str:
    """The URL with the address from which this machine reaches others, where `host` is every address."""
    family = _WILDCARDS.get(host)
    address = _outward_address(family) if family is not None else ""
    if not address:
        return url
    scheme, port = url.partition(":")[0], url.rpartition(":")[2]
    return f"{scheme}://{bracketed(address)}:{port}"


def _outward_address(family: socket.AddressFamily) -> str:
    """This machine's address on the way to others; empty if it has no network."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ELSEWHERE[family], 9))
            return str(probe.getsockname()[0])
        except OSError:
            return ""
