"""Where a request carries its key: which headers may hold one, and where one stands by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy import errors
from proxy.identity import keys

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

KEY_HEADERS = ("x-api-key", "api-key")
"""Headers of a bare key: Anthropic's clients send the first, Azure's the second."""
_MISTAKEN_HEADERS = ("x-goog-api-key", "openai-api-key", "anthropic-api-key", "x-auth-token", "apikey")
_MISTAKEN_PARAMETERS = ("key", "api_key", "api-key")


def key_of(headers: CIMultiDictProxy[str], target: str) -> str:
    """The key that a request carries in one of the headers that may hold one.

    A header that stands twice counts as none: it is unknown which one is meant. Of different values in
    several headers, one with the form of a key is taken: some clients always send a bearer token.

    Raises:
        ApiError: 401, there is none. It names the place where one stands that is not looked for there.
    """
    found = [value for value in (_bearer(headers), *_bare_keys(headers)) if value]
    for value in found:
        if keys.public_id_of(value) is not None:
            return value
    if found:
        return found[0]
    raise errors.missing_key(_misplaced(headers, target))


def _bearer(headers: CIMultiDictProxy[str]) -> str:
    """The token of a bearer header (RFC 6750, section 2.1); the scheme's case does not matter."""
    scheme, _, token = _single(headers, "Authorization").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _bare_keys(headers: CIMultiDictProxy[str]) -> list[str]:
    return [_single(headers, name).strip() for name in KEY_HEADERS]


def _single(headers: CIMultiDictProxy[str], name: str) -> str:
    values = headers.getall(name, ())
    return values[0] if len(values) == 1 else ""


def _misplaced(headers: CIMultiDictProxy[str], target: str) -> str | None:
    """Where a key seems to stand that is not looked for there, in words; None where there is none."""
    for name in ("Authorization", *KEY_HEADERS):
        if len(headers.getall(name, ())) > 1:
            return f"There is more than one {name} header"
    if scheme := _single(headers, "Authorization").strip().partition(" ")[0]:
        is_key = scheme.startswith(keys.PREFIX)
        what = "no word Bearer before the key" if is_key else "another scheme than Bearer, or no key"
        return f"The Authorization header has {what}"
    for name in _MISTAKEN_HEADERS:
        if name in headers:
            return f"A key in the header {name} is not read"
    names = {pair.partition("=")[0] for pair in target.partition("?")[2].split("&")}
    if names.intersection(_MISTAKEN_PARAMETERS):
        return "A key in the URL is not read, because URLs are written to logs"
    return None
