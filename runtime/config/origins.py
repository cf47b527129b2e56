"""Which web pages may call the API: cross-origin resource sharing for the engine and the proxy alike.

The rules are https://fetch.spec.whatwg.org/#http-cors-protocol. Credentials such as cookies are never
allowed: a page must have a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

ANY = "*"
_NAMES = re.compile(r"[A-Za-z0-9_\-, ]{1,2000}")
_METHODS = "GET, POST, OPTIONS"
_EXPOSED = ", ".join(
    [
        "x-request-id",
        "request-id",
        "openai-processing-ms",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        *(
            f"x-ratelimit-{what}-{kind}"
            for kind in ("requests", "tokens")
            for what in ("limit", "remaining", "reset")
        ),
    ]
)
"""Headers of a response that a page may read."""
MAX_AGE_S = 600
"""How long a browser remembers the answer to a preflight request."""


class Origins:
    """The origins that LLAMA_SERVER_CORS_ORIGINS names, and the headers that their pages need."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)

    def __bool__(self) -> bool:
        """Whether any origin is allowed."""
        return bool(self._allowed)

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may call the API."""
        return origin in self._allowed or ANY in self._allowed

    def headers(self, origin: str) -> dict[str, str]:
        """The headers of a response to a page of this origin; none where the origin is not allowed."""
        if not self.allows(origin):
            return {}
        return {**self._allow(origin), "Access-Control-Expose-Headers": _EXPOSED}

    def preflight(self, sent: Mapping[str, str]) -> dict[str, str] | None:
        """The headers of the response to a preflight request, which needs no key; None to refuse it.

        `sent`: the request's headers, by any spelling of their names.
        """
        origin = sent.get("Origin", "")
        if not self.allows(origin):
            return None
        names = sent.get("Access-Control-Request-Headers", "")
        headers = {
            **self._allow(origin),
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": names
            if _NAMES.fullmatch(names)
            else "authorization, content-type",
            "Access-Control-Max-Age": str(MAX_AGE_S),
        }
        if sent.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return headers

    def _allow(self, origin: str) -> dict[str, str]:
        if ANY in self._allowed:
            return {"Access-Control-Allow-Origin": ANY}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def is_preflight(method: str, sent: Mapping[str, str]) -> bool:
    """Whether a request only asks what a page may send. `sent`: as in `Origins.preflight`."""
    return method == "OPTIONS" and "Origin" in sent and "Access-Control-Request-Method" in sent
