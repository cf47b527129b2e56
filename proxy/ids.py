"""Request ids."""

from __future__ import annotations

import os
import time
from uuid import UUID


def new_request_id() -> UUID:
    """A UUID of version 7 (RFC 9562, section 5.7): in order of time, which keeps the index compact."""
    value = int.from_bytes(os.urandom(10), "big") | (time.time_ns() // 1_000_000) << 80
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def public_form(request_id: UUID) -> str:
    """The id as clients see it in x-request-id: `req_` and 32 hexadecimal digits."""
    return f"req_{request_id.hex}"
