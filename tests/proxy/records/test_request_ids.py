"""Request ids."""

from __future__ import annotations

import re
from uuid import UUID

from proxy.records.request_ids import new_request_id, public_form


def test_ids_are_uuids_of_version_7_and_come_in_order_of_time() -> None:
    """RFC 9562: version and variant bits; the first 48 bits are milliseconds."""
    texts = [new_request_id() for _ in range(1000)]
    ids = [UUID(text) for text in texts]
    assert [id_.hex for id_ in ids] == texts
    assert {id_.version for id_ in ids} == {7}
    assert {id_.variant for id_ in ids} == {"specified in RFC 4122"}
    assert len(set(ids)) == 1000
    assert [id_.int >> 80 for id_ in ids] == sorted(id_.int >> 80 for id_ in ids)
    assert re.fullmatch(r"req_[0-9a-f]{32}", public_form(texts[0]))
