"""What a new key's owner needs: a curl command, and the variables that clients' libraries read."""

from __future__ import annotations

import socket

from runtime.config import Config, bracketed

_WILDCARDS = {"0.0.0.0": socket.AF_INET, "::": socket.AF_INET6}  # noqa: S104 - not bound
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses for documentation (RFC 5737, RFC 3849): nothing is sent there."""


def lines(config: Config, key: str) -> list[str]:
    """The text that follows a new key."""
    url = url_for_others(config)
    return [
        "Try it:",
        "",
        f"  curl {url}/v1/chat/completions \\",
        f'    -H "Authorization: Bearer {key}" \\',
        '    -H "Content-Type: application/json" \\',
        """    -d '{"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 64}'""",
        "",
        "OpenAI's and Anthropic's clients read:",
        "",
        f"  export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={key}",
        f"  export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY={key}",
    ]


def url_for_others(config: Config) -> str:
    """The proxy's URL as other machines reach it, if it listens to them; otherwise as this one does.

    A proxy that listens on every address is named by the one from which this machine reaches others.
    """
    host = config.text("LLAMA_PROXY_HOST")
    family = _WILDCARDS.get(host)
    address = _outward_address(family) if family is not None else ""
    if not address:
        return config.proxy_url
    scheme, _, _ = config.proxy_url.partition(":")
    return f"{scheme}://{bracketed(address)}:{config.text('LLAMA_PROXY_PORT')}"


def _outward_address(family: socket.AddressFamily) -> str:
    """This machine's address on the way to others; empty if it has no network."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ELSEWHERE[family], 9))
            return str(probe.getsockname()[0])
        except OSError:
            return ""
