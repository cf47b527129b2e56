"""Request ids."""

from __future__ import annotations

import os
import time

_VARIANT = dict(zip("0123456789abcdef", 4 * "89ab", strict=True))


def new_request_id() -> str:
    """A UUID of version 7 (RFC 9562, section 5.7) as 32 hexadecimal digits.

    They are in order of time, which keeps the index compact.
    """
    random = os.urandom(10).hex()
    milliseconds = time.time_ns() // 1_000_000
    return f"{milliseconds:012x}7{random[:3]}{_VARIANT[random[3]]}{random[4:19]}"


def public_form(request_id: str) -> str:
    """The id as clients see it in x-request-id."""
    return f"req_{request_id}"
