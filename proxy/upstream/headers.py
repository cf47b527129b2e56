"""The headers between client and engine: which pass, which are dropped, and which the proxy sets."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

# Headers of one connection, which are not passed on (RFC 9110, section 7.6.1), and those that each
# side's connection sets for itself.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade content-length".split()
)
_NOT_TO_ENGINE = _HOP_BY_HOP | frozenset(
    b"host authorization x-api-key api-key cookie expect accept-encoding x-request-id origin".split()
)
_NOT_TO_CLIENT = _HOP_BY_HOP | frozenset(
    b"date server set-cookie x-request-id openai-processing-ms".split()
)
_RESERVED = (b"x-llamaserve-", b"x-ratelimit-", b"access-control-", b"x-llm-d-", b"x-gateway-")
"""Prefixes of headers that only the proxy and the engine set. The last two direct llm-d's router (the
older ones of Kubernetes' gateways): a priority, another model, a certain machine."""

_FAIRNESS = "x-llm-d-inference-fairness-id"
"""By which the router of llm-d divides its capacity fairly."""
MAX_SPELLINGS, MAX_SPELLING_BYTES = 1024, 64
"""How many header names are remembered, and how long one may be."""
MAX_USERS = 4096
"""The number of users whose header lines are cached."""
TAG_BYTES = 16
_CONNECTION_OPTIONS = frozenset((b"keep-alive", b"close"))
Headers = Iterable[tuple[bytes, bytes]]


class RequestHeaders:
    """The header lines that the proxy sets on requests to the engine.

    The engine gets a tag for each user, a keyed hash of the user's id, and shares prompt prefixes only
    within a tag. The hash's key is derived from the engine's key, so that a restarted proxy, and several
    proxies of one engine, make the same tags and nobody else can. Without an engine key it is random.
    """

    def __init__(self, host: str, key: str) -> None:
        # Uncompressed, so that the usage can be read.
        lines = [f"Host: {host}", "Accept-Encoding: identity", "X-Llamaserve-Usage: 1"]
        if key:
            lines.append(f"Authorization: Bearer {key}")
        self.fixed = "\r\n".join(lines).encode()
        """The lines that are the same for every request, without the last line end."""
        self.line_ends = self.fixed.count(b"\n") + 3
        """Number of line ends in the result of `for_user`."""
        secret = key.encode() if key else secrets.token_bytes(32)
        self._tag_key = blake2b(secret, person=b"user tags").digest()
        self.for_user = lru_cache(MAX_USERS)(self._for_user)
        """The lines of a user's requests: `fixed`, the user's tag (twice, for llm-d) and weight."""

    def _for_user(self, user_id: int, weight: float) -> bytes:
        tag = self._tag(user_id)
        lines = f"X-Llamaserve-User: {tag}\r\nX-Llamaserve-Weight: {weight:g}\r\n{_FAIRNESS}: {tag}"
        return self.fixed + b"\r\n" + lines.encode()

    def _tag(self, user_id: int) -> str:
        return blake2b(str(user_id).encode(), key=self._tag_key, digest_size=TAG_BYTES).hexdigest()


class Names(dict[bytes, bool | None]):
    """Maps the name of a header, in any spelling, to whether the header is forwarded.

    The value is None for `Connection`, which names further headers that are not forwarded. Known
    spellings are cached.
    """

    def __init__(self, dropped: frozenset[bytes]) -> None:
        super().__init__()
        self._dropped = dropped

    def __missing__(self, name: bytes) -> bool | None:
        low = name.lower()
        passed = None
        if low != b"connection":
            passed = low not in self._dropped and not low.startswith(_RESERVED)
        if len(self) < MAX_SPELLINGS and len(name) < MAX_SPELLING_BYTES:
            self[name] = passed
        return passed


TO_ENGINE, TO_CLIENT = Names(_NOT_TO_ENGINE), Names(_NOT_TO_CLIENT)


def passed_lines(headers: Headers, names: Names) -> list[bytes]:
    """The lines of those headers that are passed on."""
    lines = []
    named: set[bytes] = set()
    for header in headers:
        passed = names[header[0]]
        if passed:
            lines.append(b"%b: %b" % header)
        elif passed is None:
            named.update(name.strip() for name in header[1].lower().split(b","))
    if named - _CONNECTION_OPTIONS:
        lines = [line for line in lines if line.partition(b":")[0].lower() not in named]
    return lines
