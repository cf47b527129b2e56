"""Headers that every response has, and the content security policy of pages.

Scripts run from this server's files alone, or with the nonce of the page's own response. NiceGUI
compiles Vue templates in the browser and runs commands that the server sends, which needs 'unsafe-eval';
its styles are inline. Nothing is loaded from, or sent to, another server.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

_ALWAYS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer browsers send forms with "Origin: null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


def new_nonce() -> str:
    """A nonce for one response."""
    return secrets.token_urlsafe(16)


def security_headers(nonce: str) -> list[tuple[bytes, bytes]]:
    """The headers of a response whose inline scripts have this nonce."""
    policy = (
        "default-src 'none'; "
        f"script-src 'self' 'unsafe-eval' 'nonce-{nonce}'; "
        "style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    pairs = [*_ALWAYS.items(), ("Content-Security-Policy", policy)]
    return [(name.lower().encode(), value.encode()) for name, value in pairs]
