"""The form of users' keys, how they are created, and their hashes.

A key is `lsk_` + 12 characters of public id + 32 of secret + 6 of CRC32, all base62 (0-9 A-Z a-z).
The secret has 190 bits. The checksum, in the manner of GitHub's tokens, lets a mistyped key be
refused without asking the database, and a leaked one be found by scanners.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass, field
from zlib import crc32

from passlib.hash import pbkdf2_sha256

PREFIX = "lsk_"
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PUBLIC_CHARS, _SECRET_CHARS, _CRC_CHARS = 12, 32, 6
_FORM = re.compile(
    rf"{PREFIX}(?P<public>[0-9A-Za-z]{{{_PUBLIC_CHARS}}})[0-9A-Za-z]{{{_SECRET_CHARS}}}"
    rf"(?P<crc>[0-9A-Za-z]{{{_CRC_CHARS}}})",
    re.ASCII,
)

# A secret of 190 random bits cannot be guessed, so stretching it buys nothing; the rounds only keep
# to passlib's form. Raising them later is safe: each hash carries its own.
_HASH = pbkdf2_sha256.using(rounds=1_000)


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key just created. `key` is shown to its user once and stored nowhere."""

    key: str = field(repr=False)
    public_id: str
    hash: str = field(repr=False)


def create_key() -> NewKey:
    """Create a key from the system's randomness."""
    public_id = _random(_PUBLIC_CHARS)
    body = PREFIX + public_id + _random(_SECRET_CHARS)
    key = body + _checksum(body)
    return NewKey(key=key, public_id=public_id, hash=hash_of(key))


def hash_of(key: str) -> str:
    """The hash of a key for the database."""
    return str(_HASH.hash(key))


def public_id_of(key: str) -> str | None:
    """The public id within a key; None for text that is not such a key, or is mistyped."""
    match = _FORM.fullmatch(key)
    if match is None or _checksum(key[:-_CRC_CHARS]) != match["crc"]:
        return None
    return match["public"]


def verify_key(key: str, hash_: str) -> bool:
    """Whether the key has this hash; constant-time, some 0.5 ms of CPU: call it off the event loop."""
    return bool(_HASH.verify(key, hash_))


def mask(key: str) -> str:
    """A key as an error may show it: the first 8 and the last 4 characters at most."""
    return f"{key[:8]}…{key[-4:]}" if len(key) >= 24 else f"{key[:4]}…"


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _checksum(body: str) -> str:
    number, digits = crc32(body.encode()), ""
    for _ in range(_CRC_CHARS):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits
