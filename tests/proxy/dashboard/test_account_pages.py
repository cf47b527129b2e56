"""Users and keys, invitations, Connect and Chat in a real browser."""

from __future__ import annotations

import asyncio
import re
import time
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

from proxy.database.pool import connect
from proxy.identity import keys, users
from tests.proxy.dashboard.conftest import OpenPage, confirm, shown_secret
from tests.support.chromium import visit
from tests.support.dashboard import Browser as Visitor
from tests.support.dashboard import Stack
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKUP = "<img src=x onerror=document.title='owned'> ```\n<b>code</b>\n```"


async def test_from_an_invitation_to_the_end_of_its_key(stack: Stack, logged_in: OpenPage) -> None:
    """The link makes one key, seen by its user alone. A request sent with it is seen running, then in
    Requests and in Usage; when the key is revoked, its user is logged out."""
    admin = await logged_in("admin", "/users")
    link = await invite(admin, "erin")
    row = admin.locator("tbody tr", has_text="erin")
    await expect(row).to_contain_text("invited")
    await expect(row).to_contain_text("77 requests")
    erin = await logged_in("", link)
    await erin.get_by_role("button", name="Make my key").click()
    stack.keys["erin"] = key = await erin.inner_text("#key")
    await erin.get_by_role("button", name="Log in and connect a program").click()
    await erin.wait_for_function("() => window.did_handshake")
    await erin.get_by_role("button", name="Test it now").first.click()
    await expect(erin.locator(".result").first).to_contain_text("It works", timeout=20_000)
    assert key not in await erin.content()
    await erin.get_by_text("Put my key in").click()
    await expect(erin.locator(".copied").first).to_contain_text(key)
    assert "has been used" in await (await erin.request.get(stack.url + link)).text()
    await see_a_request(stack, erin, "erin")
    await expect(row).to_contain_text("active", timeout=8_000)
    assert key not in await admin.content()
    await row.get_by_role("cell", name="erin").click()
    await admin.get_by_role("dialog", name="erin").get_by_role("button", name="Revoke").click()
    await confirm(admin, f"Revoke {keys.PREFIX}{keys.public_id_of(key)}…?", "Revoke")
    await expect(erin.get_by_text("You are not logged in any more")).to_be_visible()


async def invite(admin: Page, username: str) -> str:
    """The path of the link of a new invitation."""
    await admin.get_by_role("button", name="Invite").click()
    await admin.get_by_label("Username").fill(username)
    await admin.get_by_label("Requests in a window").fill("77")
    await admin.get_by_role("button", name="Make the link").click()
    return urlsplit(await shown_secret(admin)).path


async def see_a_request(stack: Stack, page: Page, username: str) -> None:
    """Send requests until one is seen in Now, and look at Requests and Usage when they have ended."""
    await visit(page, stack.url)
    seen = asyncio.Event()

    async def ask() -> int:
        number = 0
        while not seen.is_set():  # one may have ended before the page looks
            found = await stack.chat(username, "go on", max_tokens=200)
            assert found["status"] == 200
            number += 1
        await stack.recorded(found)
        return number

    asking = asyncio.create_task(ask())
    try:
        await expect(page.locator(".panel:has-text('Running') tbody")).to_contain_text(username)
    finally:
        seen.set()
        sent = str(await asking + 1)  # Connect's test sent one
    await visit(page, stack.url + "/requests")
    await expect(page.locator("tbody tr")).to_have_count(int(sent))
    await expect(page.locator("tbody tr").first).to_contain_text("/ 200")
    await visit(page, stack.url + "/usage")
    await expect(page.locator(".tile", has_text="requests")).to_contain_text(sent)
    await expect(page.locator(".tile", has_text="refused")).to_contain_text("0")
    used = page.locator("tbody tr", has_text="77 requests")
    await expect(used.locator("td").nth(1)).to_have_text(sent)


async def test_an_administrator_makes_changes_and_ends_a_user(stack: Stack, logged_in: OpenPage) -> None:
    """The key is shown once and works; a bad limit is refused by its name; each change holds at once. A
    double click asks once."""
    page = await logged_in("admin", "/users")
    await page.get_by_role("button", name="New user").click()
    await page.get_by_label("Username").fill("frank")
    await page.get_by_label("Requests in a window").fill("many")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_text("Requests in a window must be a whole number")).to_be_visible()
    await page.get_by_label("Requests in a window").fill("50")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_text("The key of frank")).to_be_visible()
    stack.keys["frank"] = await shown_secret(page)
    assert (await stack.chat("frank"))["status"] == 200
    await page.get_by_role("cell", name="frank").dblclick()
    dialog = page.get_by_role("dialog", name="frank", exact=True)
    await dialog.get_by_label("Tokens in a window").fill("12345")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.locator("tbody tr", has_text="frank")).to_contain_text("12345 tokens")
    await dialog.get_by_role("button", name="Deactivate").dblclick()
    await confirm(page, "Deactivate frank?", "Deactivate")
    await expect(dialog.get_by_role("button", name="Activate", exact=True)).to_be_visible()
    await until(lambda: _is_refused(stack, "frank"), "the user to be shut out")
    await dialog.get_by_role("button", name="Delete").click()
    await confirm(page, "Delete frank and all keys?", "Delete")
    await expect(page.locator("tbody tr", has_text="frank")).to_have_count(0)


async def _is_refused(stack: Stack, username: str) -> bool:
    return (await stack.chat(username))["status"] in (401, 403)


async def test_a_late_second_click_takes_no_typing_away(stack: Stack, logged_in: OpenPage) -> None:
    """A busy machine may hear the second half of a double click when the dialog has long been open."""
    page = await logged_in("admin", "/users")
    for opener, title, field in (
        (page.get_by_role("cell", name="alice"), "alice", "Tokens in a window"),
        (page.get_by_role("button", name="Groups"), "Groups", "Name"),
        (page.get_by_role("button", name="New user"), "New user", "Username"),
        (page.get_by_role("button", name="Invite"), "Invite a user", "Username"),
    ):
        await opener.click()
        dialog = page.get_by_role("dialog", name=title, exact=True)
        await dialog.get_by_label(field).first.fill("12345")
        await opener.dispatch_event("click")
        await page.mouse.click(3, 3)  # beside the dialog
        await page.wait_for_timeout(500)  # for what must not happen
        await expect(dialog.get_by_label(field).first).to_have_value("12345")
        await dialog.get_by_role("button", name="Close").click()
        await expect(dialog).to_have_count(0)


async def test_a_session_goes_on_with_its_new_key(stack: Stack, logged_in: OpenPage) -> None:
    """A user replaces the key that logged in: the old one ends at once, the session does not."""
    stack.new_user("gina")
    old = stack.keys["gina"]
    page = await logged_in("gina", "/users")
    await expect(page.get_by_text("alice")).to_have_count(0)
    await page.get_by_role("button", name="Replace").click()
    await expect(page.get_by_text("Your new key")).to_be_visible()
    stack.keys["gina"] = new = await shown_secret(page)
    assert keys.public_id_of(new) not in (None, keys.public_id_of(old))
    await expect(page.locator(".key-row", has_text="revoked")).to_be_visible()
    await visit(page, stack.url + "/connect")
    await page.get_by_text("Put my key in").click()
    await expect(page.locator(".copied").first).to_contain_text(new)
    assert (await stack.chat("gina"))["status"] == 200
    stack.keys["gina"] = old
    assert await _is_refused(stack, "gina")


async def test_an_administrator_is_not_locked_out(stack: Stack, logged_in: OpenPage) -> None:
    """In the list of all users there are their own keys, and LLAMA_ADMIN_KEY. What would end those asks
    first and says so; a session goes over to the new key."""
    stack.new_user("judy")
    _set_admin(stack, "judy", admin=True)
    page = await logged_in("judy", "/users")
    await page.get_by_role("cell", name="admin", exact=True).click()
    dialog = page.get_by_role("dialog", name="admin", exact=True)
    for button in ("New key in place of all", "Not an administrator", "Revoke"):
        await dialog.get_by_role("button", name=button).click()
        await confirm(page, "LLAMA_ADMIN_KEY ends", "Cancel")
    await dialog.get_by_label("Close").click()
    await page.get_by_role("cell", name="judy", exact=True).click()
    dialog = page.get_by_role("dialog", name="judy", exact=True)
    for button in ("Not an administrator", "Revoke", "Deactivate", "Delete"):
        await dialog.get_by_role("button", name=button).click()
        await confirm(page, "You will be logged out.", "Cancel")
    await dialog.get_by_role("button", name="New key in place of all").click()
    await confirm(page, "Your session goes over to the new one.", "Replace")
    new = await page.locator(".copied").inner_text()
    await expect(dialog.locator(".key-row", has_text="revoked")).to_be_visible()
    await visit(page, stack.url + "/connect")
    await page.get_by_text("Put my key in").click()
    await expect(page.locator(".copied").first).to_contain_text(new)
    await until(lambda: _is_refused(stack, "judy"), "the old key to end")
    assert (await stack.chat("admin"))["status"] == 200


async def test_who_is_no_administrator_any_more_is_logged_out(stack: Stack, logged_in: OpenPage) -> None:
    """While the page with all users is open; nothing on it can be done from then on."""
    stack.new_user("hugo")
    _set_admin(stack, "hugo", admin=True)
    page = await logged_in("hugo", "/users")
    await expect(page.get_by_role("cell", name="alice")).to_be_visible()
    _set_admin(stack, "hugo", admin=False)
    await expect(page.get_by_text("You are not logged in any more")).to_be_visible()


def _set_admin(stack: Stack, username: str, *, admin: bool) -> None:
    with connect(stack.database_url, application="tests") as connection:
        users.set_admin(connection, username, admin=admin)


async def test_a_chat_streams_and_stops(stack: Stack, logged_in: OpenPage) -> None:
    """What is typed and answered is text; a stopped answer stays; nothing is left when the page is."""
    page = await logged_in("alice", "/chat")
    await page.get_by_label("Message").fill(MARKUP)
    await page.keyboard.press("Enter")
    await expect(page.locator(".message.user")).to_contain_text("onerror")
    await expect(page.locator(".message.assistant .piece").first).to_be_visible()
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".message.assistant .note")).to_have_text("Stopped.")
    assert await page.locator(".message img, .message b").count() == 0
    assert await page.title() == "Chat · Llamaserve"
    await page.get_by_text("Parameters").click()
    await page.get_by_label("Most tokens").fill("5")
    await page.get_by_label("Message").fill("And now?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".message.assistant .note").last).to_contain_text("5 out", timeout=20_000)
    await page.get_by_label("JSON schema").fill("[")
    await page.get_by_label("Message").fill("As JSON")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("The schema is not JSON")).to_be_visible()
    await page.reload()
    await expect(page.locator(".message")).to_have_count(0)


async def test_the_machine_is_for_administrators(stack: Stack, logged_in: OpenPage) -> None:
    """They see the configuration without its secrets; others see nothing, whatever the tab."""
    admin = await logged_in("admin", "/machine?tab=configuration")
    bob = await logged_in("bob")
    await admin.get_by_label("Search keys").fill("LLAMA_ADMIN_KEY")
    await expect(admin.locator("tbody tr")).to_have_count(1)
    await expect(admin.locator("tbody")).to_contain_text("set")
    text = await admin.content()
    for secret in (stack.keys["admin"], urlsplit(stack.database_url).password or stack.database_url):
        assert secret not in text
    await admin.get_by_role("tab", name="Audit").click()
    await expect(admin.locator("tbody").last).to_contain_text("create user")
    for tab in ("models", "logs", "findings", "configuration", "audit"):
        response = await bob.request.get(f"{stack.url}/machine?tab={tab}")
        assert response.status == 403
        assert not re.search("LLAMA_ADMIN_KEY|create user|doctor", await response.text())


async def test_guesses_of_invitations_are_limited(stack: Stack) -> None:
    """After some wrong codes an address must wait."""
    status, guesses, begun = 404, 0, time.monotonic()
    async with Visitor(stack.url) as visitor:
        while status == 404 and guesses < 200:
            status, text, _ = await visitor.get(f"/invitation/lsi_{guesses:043}")
            guesses += 1
    assert status == 429
    assert 1 < guesses <= 31 + (time.monotonic() - begun) / 2  # there is one more every two seconds
    assert "Too many wrong links" in text
