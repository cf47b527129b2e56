"""Records of requests that nobody sent."""

from __future__ import annotations

import time

from proxy.records.record import RequestRecord


def record(**fields: object) -> RequestRecord:
    """The record of a chat that was answered, with these fields changed."""
    made = RequestRecord(
        created_at=time.time(),
        username="alice",
        user_id=1,
        key_id=1,
        method="POST",
        path="/v1/completions",
    )
    return made.but(**{"admitted": True, "status_code": 200, "response_bytes": 5, **fields})
