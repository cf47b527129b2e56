"""Request ids."""

from __future__ import annotations

import os
import time

_VARIANT = dict(zip("0123456789abcdef", 4 * "89ab", strict=True))
_DIGITS, _AT_ONCE = 20, 128
_random: list[str] = []
"""Random digits for coming ids: a system call for each would cost more than the rest of the work."""


def new_request_id() -> str:
    """A UUID of version 7 (RFC 9562, section 5.7) as 32 hexadecimal digits.

    Ids are in order of time, which keeps the database's index compact.
    """
    if not _random:
        digits = os.urandom(_AT_ONCE * _DIGITS // 2).hex()
        _random.extend([digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS)])
    random = _random.pop()
    milliseconds = time.time_ns() // 1_000_000
    return f"{milliseconds:012x}7{random[:3]}{_VARIANT[random[3]]}{random[4:19]}"


def public_form(request_id: str) -> str:
    """The id as clients see it in x-request-id."""
    return f"req_{request_id}"
