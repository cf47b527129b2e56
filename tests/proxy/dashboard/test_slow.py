"""Pages in a real browser while the database, the server or the network is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.async_api import expect

from proxy.database.pool import connect
from proxy.identity import invitations
from tests.proxy.dashboard.conftest import OpenPage
from tests.support.dashboard import Stack
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@contextmanager
def locked(stack: Stack, table: str) -> Iterator[None]:
    """Whoever reads the table waits for as long as the context lasts."""
    with (
        connect(stack.database_url, application="tests") as connection,
        connection.transaction(),
    ):
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


async def questions(stack: Stack, number: int) -> None:
    """Wait until so many questions of the dashboard wait for a lock."""

    def are_so_many() -> bool:
        with connect(stack.database_url, application="tests") as connection:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name LIKE 'llamaserve-dashboard/%' AND wait_event_type = 'Lock'"
            ).fetchone()
        return found is not None and found[0] == number

    await until(are_so_many, f"{number} questions to wait")


async def test_a_form_is_sent_once(stack: Stack, logged_in: OpenPage) -> None:
    """An impatient second click on an invitation does not lose the key that the first one makes."""
    with connect(stack.database_url, application="tests") as connection:
        invitation = invitations.invite(connection, username="kate")
    page = await logged_in("", f"/invitation/{invitation.code}")
    box = await page.get_by_role("button", name="Make my key").bounding_box()
    assert box is not None
    with locked(stack, "llama_invitations"):
        await page.mouse.click(box["x"] + 5, box["y"] + 5)
        await questions(stack, 1)
        await page.mouse.click(box["x"] + 5, box["y"] + 5)
        await asyncio.sleep(0.5)  # for the question that must not come
    await expect(page.locator("#key")).to_contain_text("lsk_")
