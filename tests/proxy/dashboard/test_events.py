"""Every event of a user's pages, with whatever arguments: nothing of others is shown or changed."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import pytest
from playwright.async_api import Page, expect

from proxy.dashboard.pages import PAGES
from proxy.database.pool import connect
from proxy.identity import groups, invitations, users
from tests.proxy.dashboard.conftest import OpenPage
from tests.support.dashboard import Stack
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARGUMENTS: tuple[Any, ...] = (
    [],
    ["alice"],
    [{"name": "alice", "value": "alice", "username": "alice", "public_id": "x"}],
    [None, {"name": "alice"}, -1],
)
LISTENERS = """() => {
  const elements = document.getElementById("app")._vnode.component.proxy.elements;
  const found = [];
  for (const [id, element] of Object.entries(elements)) {
    for (const event of element.events ?? []) found.push([Number(id), event.listener_id, event.type]);
  }
  return found;
}"""
EMIT = """([listeners, sets, client_id]) => {
  client_id ??= window.clientId;
  for (const [id, listener_id] of listeners)
    for (const values of sets) {
      const args = values.map((one) => JSON.stringify(one));  // as NiceGUI's own pages send them
      window.socket.emit("event", {id, client_id, listener_id, args});
    }
}"""


def state_of_others(stack: Stack, username: str) -> list[Any]:
    """What the database has of all others, and of what is everybody's."""
    with connect(stack.database_url, application="tests") as connection:
        found: list[Any] = [asdict(user) for user in users.list_users(connection)]
        for user in found:
            for key in user["keys"]:
                key["last_used_at"] = None
        return [
            *(user for user in found if user["username"] != username),
            groups.list_groups(connection),
            invitations.list_invitations(connection),
        ]


async def listeners(page: Page) -> list[list[Any]]:
    """The ids of elements, of what listens to their events, and what these are."""
    await page.wait_for_function("() => window.did_handshake")
    found: list[list[Any]] = await page.evaluate(LISTENERS)
    assert found
    return found


async def test_no_event_of_a_user_reaches_others(stack: Stack, logged_in: OpenPage) -> None:
    """Of any page, dialogs that it opens included, sent as often as one likes."""
    stack.new_user("rita")
    page = await logged_in("rita")
    before = state_of_others(stack, "rita")
    for one in PAGES:
        if one.admin_only:
            continue
        await page.goto(stack.url + one.path)
        for sets in (ARGUMENTS[:2], ARGUMENTS[2:]):  # the second time with what the first one opened
            await page.evaluate(EMIT, [await listeners(page), sets, None])
            await asyncio.sleep(0.3)
        assert "alice" not in await page.inner_text("body")
    await until(lambda: state_of_others(stack, "rita") == before, "the events to be over")
    stack.keys.pop("rita")


async def test_an_administrators_page_hears_its_own_socket_alone(
    stack: Stack, logged_in: OpenPage
) -> None:
    """Whoever knows its id and its listeners cannot press its buttons."""
    admin, bob = [await logged_in(name) for name in ("admin", "bob")]
    await admin.goto(stack.url + "/users")
    client_id = await admin.evaluate("() => window.clientId")
    await bob.evaluate(EMIT, [await listeners(admin), [[]], client_id])
    await asyncio.sleep(0.5)
    await expect(admin.locator(".q-dialog")).to_have_count(0)
    buttons = [one for one in await listeners(admin) if one[2] == "click"]
    await admin.evaluate(EMIT, [buttons, [[]], None])  # its own socket presses them all
    await expect(admin.get_by_role("dialog", name="New user")).to_be_visible()
