"""What operators see of batches, and do to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.database.pool import connect
from proxy.identity import users
from tests.proxy.batches.conftest import BatchUser, lines_of
from tests.support.upstream import FakeUpstream
from tests.support.wait import until


async def test_operators_see_and_cancel_batches(
    user: BatchUser, upstream: FakeUpstream, create_user: Callable[..., str], database_url: str
) -> None:
    """In the admin API, whose users they are and how fast; in the metrics, what runs and has run."""
    upstream.behaviour = upstream.hold
    root = create_user("root")
    with connect(database_url, application="tests") as connection:
        users.set_admin(connection, "root", admin=True)
    batch = await user.submit(lines_of(5))
    await user.at(batch, "in_progress")

    async def admin(method: str, path: str) -> Any:
        async with user.proxy.request(method, path, key=root) as response:
            assert response.status == 200
            return await response.read() if path == "/metrics" else await response.json()

    (listed,) = (await admin("GET", "/admin/v1/batches?user=alice"))["data"]
    assert (listed["id"], listed["username"], listed["request_counts"]["total"]) == (
        batch.id,
        "alice",
        5,
    )

    async def is_told() -> bool:
        text = await admin("GET", "/metrics")
        return b"llamaserve_batch_batches 1\n" in text and b"llamaserve_batch_lines_left 5\n" in text

    await until(is_told, "the metrics to tell of its lines")
    assert (await admin("POST", f"/admin/v1/batches/{batch.id}/cancel"))["cancelled"] == batch.id
    await user.at(batch, "cancelled")
    assert (await admin("GET", "/admin/v1/audit?user=alice"))["data"][-1]["action"] == "cancel batch"
