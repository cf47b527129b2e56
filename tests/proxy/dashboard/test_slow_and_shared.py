"""What a slow database, other administrators and second clicks do to forms and dialogs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import pytest
from playwright.async_api import Locator, Page, expect

from proxy.database.audit import changes
from proxy.database.pool import connect
from proxy.identity import groups, keys, users
from tests.proxy.dashboard.conftest import OpenPage, confirm, shown_secret
from tests.support.chromium import visit
from tests.support.dashboard import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_INVITATIONS = (
    "ALTER TABLE llama_invitations RENAME TO away",
    "ALTER TABLE away RENAME TO llama_invitations",
)
"""Lists of users cannot be read, changes can be made; and how it ends."""
NO_COMMANDS = (
    "ALTER TABLE llama_audit ADD CONSTRAINT barred CHECK (action <> 'run command') NOT VALID",
    "ALTER TABLE llama_audit DROP CONSTRAINT barred",
)
"""The audit refuses to name a command; and how it ends."""


def change(stack: Stack, do: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What another administrator does meanwhile, with the user command."""
    with connect(stack.database_url, application="tests") as connection:
        return do(connection, *args, **kwargs)


@contextmanager
def slow_changes(stack: Stack) -> Iterator[None]:
    """What changes users waits for the end of the context; what reads them does not."""
    with connect(stack.database_url, application="tests") as connection, connection.transaction():
        connection.execute("LOCK TABLE llama_users, llama_groups IN EXCLUSIVE MODE")
        yield


async def open_user(page: Page, username: str) -> Locator:
    """The dialog of a user, when it is there."""
    await page.get_by_role("cell", name=username, exact=True).click()
    dialog = page.get_by_role("dialog", name=username, exact=True)
    await expect(dialog).to_be_visible()
    return dialog


async def test_a_form_writes_what_was_changed_in_it(stack: Stack, logged_in: OpenPage) -> None:
    """What others have changed since it was opened stays. What is typed stays through other actions in
    the same dialog, and while Save waits; fields without changes show what is stored now."""
    stack.new_user("ivan", rate_limit=10, token_limit=100)
    change(stack, groups.create_group, "team")
    page = await logged_in("admin", "/users")
    dialog = await open_user(page, "ivan")
    requests, tokens = [dialog.get_by_label(f"{one} in a window") for one in ("Requests", "Tokens")]
    await requests.fill("55")
    change(stack, users.set_limits, "ivan", token_limit=222)
    change(stack, groups.set_group, "ivan", "team")
    await dialog.get_by_role("button", name="Revoke").click()
    await confirm(page, f"Revoke {keys.PREFIX}", "Revoke")
    await expect(page.get_by_text("The key is revoked.")).to_be_visible()
    await expect(tokens).to_have_value("222")
    await expect(dialog.get_by_label("Group")).to_have_value("team")
    await expect(requests).to_have_value("55")
    change(stack, users.set_limits, "ivan", token_limit=333)
    change(stack, groups.delete_group, "team")
    with slow_changes(stack):
        await dialog.get_by_role("button", name="Save").click()
        await dialog.get_by_label("Weight").fill("3")
    await expect(page.get_by_text("The limits hold now.")).to_be_visible()
    await expect(tokens).to_have_value("333")
    await expect(dialog.get_by_label("Weight")).to_have_value("3")
    user = change(stack, users.get_user, "ivan")
    assert (user.rate_limit, user.token_limit, user.weight, user.group) == (55, 333, 1, None)
    await dialog.get_by_role("button", name="New invitation").click()
    await page.get_by_role("button", name="Make the link").click()
    await page.get_by_role("dialog", name="Invitation").get_by_label("Close").click()
    await dialog.get_by_role("button", name="Withdraw invitation").click()
    await expect(page.get_by_text("The link is void.")).to_be_visible()


async def test_a_group_keeps_what_others_set(stack: Stack, logged_in: OpenPage) -> None:
    """Save writes the field that was changed, and no other."""
    change(stack, groups.create_group, "crew", rate_limit=10, token_limit=100)
    page = await logged_in("admin", "/users")
    await page.get_by_role("button", name="Groups").click()
    await page.get_by_text("crew · 0 members").click()
    form = page.locator(".q-expansion-item", has_text="crew")
    await form.get_by_label("Requests in a window").fill("55")
    change(stack, groups.set_group_limits, "crew", token_limit=222)
    await form.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("The limits of crew hold now.")).to_be_visible()
    await expect(form.get_by_label("Tokens in a window")).to_have_value("222")
    group = change(stack, groups.get_group, "crew")
    assert (group.rate_limit, group.token_limit) == (55, 222)
    change(stack, groups.delete_group, "crew")


async def test_a_second_click_does_nothing_twice(stack: Stack, logged_in: OpenPage) -> None:
    """While the database is slow a button is clicked again: there is one link, one user and one key."""
    stack.new_user("kate")
    admin, kate = await logged_in("admin", "/users"), await logged_in("kate", "/users")
    await admin.get_by_role("button", name="Invite").click()
    await admin.get_by_label("Username").fill("liam")
    await twice(stack, admin.get_by_role("button", name="Make the link"))
    await shown_secret(admin)
    await admin.get_by_role("button", name="New user").click()
    await admin.get_by_label("Username").fill("mary")
    await twice(stack, admin.get_by_role("button", name="Create"))
    await shown_secret(admin)
    await kate.get_by_label("A replaced key ends").click()
    await kate.get_by_role("option", name="in a day").click()
    await twice(stack, kate.get_by_role("button", name="Replace"))
    await shown_secret(kate)
    await expect(kate.locator(".key-row")).to_have_count(2)
    await expect(admin.locator(".q-notification")).to_have_count(0)
    made = change(stack, changes, since=datetime.now(UTC) - timedelta(minutes=1))
    invited = [one.action for one in made if one.username == "liam"]
    assert invited == ["create user", "create invitation"], invited


async def twice(stack: Stack, button: Locator) -> None:
    """Click once, and again before the first click is answered."""
    with slow_changes(stack):
        await button.click()
        await button.dispatch_event("click")
        await button.page.wait_for_timeout(300)  # both are heard


async def test_what_is_done_is_not_said_to_have_failed(stack: Stack, logged_in: OpenPage) -> None:
    """The list that cannot be read after a change says so itself, and comes back. A command that the
    audit cannot name does not run."""
    stack.new_user("nina")
    page = await logged_in("admin", "/users")
    failures = page.locator(".q-notification.bg-negative")
    with altered(stack, *NO_INVITATIONS):
        await page.get_by_role("button", name="New user").click()
        await page.get_by_label("Username").fill("paula")
        await page.get_by_role("button", name="Create").click()
        await shown_secret(page)
        await expect(page.locator(".problem:visible")).to_contain_text("out of reach")
        await page.wait_for_timeout(500)  # for the note that must not come
        await expect(failures).to_have_count(0, timeout=1)
    dialog = await open_user(page, "nina")
    with altered(stack, *NO_INVITATIONS):
        await dialog.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("The limits hold now.")).to_be_visible()
        await page.wait_for_timeout(500)  # for the note that must not come
        await expect(failures).to_have_count(0, timeout=1)
    await visit(page, stack.url + "/machine")
    with altered(stack, *NO_COMMANDS):
        await page.get_by_label("Repository on the Hugging Face hub").fill("nobody/nothing-GGUF")
        await page.get_by_role("button", name="Download", exact=True).click()
        await expect(failures).to_contain_text("out of reach")
    await page.wait_for_timeout(1_200)  # the page looks every second
    await expect(page.get_by_text("pull nobody/nothing-GGUF")).to_have_count(0)


@contextmanager
def altered(stack: Stack, to: LiteralString, back: LiteralString) -> Iterator[None]:
    """The database is like this for as long as the context lasts."""
    with connect(stack.database_url, application="tests") as connection:
        connection.execute(to)
        try:
            yield
        finally:
            connection.execute(back)
