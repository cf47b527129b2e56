"""The pages in a real browser: what users and administrators see while requests run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psutil
import pytest
from playwright.async_api import expect

from proxy.dashboard.pages import PAGES
from proxy.database.pool import connect
from tests.proxy.dashboard.conftest import OpenPage
from tests.support.chromium import visit
from tests.support.dashboard import Stack
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "{{ 7 * 7 }}<img src=x onerror=document.title='owned'>"


@asynccontextmanager
async def running_request(stack: Stack, username: str) -> AsyncIterator[asyncio.Task[dict[str, object]]]:
    """A request that takes seconds."""
    task = asyncio.create_task(stack.chat(username, "go on", max_tokens=3000, stream=False))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_page_opens(stack: Stack, logged_in: OpenPage) -> None:
    """An administrator sees each page without an error in the browser's console, nor on the page."""
    page = await logged_in("admin")
    for one in PAGES:
        await page.goto(stack.url + one.path)
        await expect(page.locator(".nav.here")).to_contain_text(one.title)
        # A batch that has failed says so in its row, which is as it should be.
        await expect(page.locator(".problem:not(tbody .problem):visible")).to_have_count(0)


async def test_a_request_from_running_to_its_record(stack: Stack, logged_in: OpenPage) -> None:
    """A request is seen running, by others as someone's; ended by an administrator; then in Requests
    and Usage."""
    stack.new_user("olga")  # without any request, whatever tests came before
    alice, olga, admin = [await logged_in(name) for name in ("alice", "olga", "admin")]
    async with running_request(stack, "alice") as request:
        running = ".panel:has-text('Running') tbody"
        for page, name in ((alice, "alice"), (olga, "someone"), (admin, "alice")):
            await expect(page.locator(running)).to_contain_text(name)
        await expect(alice.locator(running)).to_contain_text("100 % of")
        await expect(olga.locator("body")).not_to_contain_text("alice")
        assert await olga.get_by_text("End", exact=True).count() == 0
        await admin.get_by_label("End the request of alice").click()
        await admin.get_by_text("End it").click()
        outcome = await request
    assert outcome["status"] == 503
    await stack.recorded(outcome)
    await alice.goto(stack.url + "/requests")
    await expect(alice.locator("tbody")).to_contain_text("ended_by_administrator")
    await alice.goto(stack.url + "/usage?by=day")
    await expect(alice.locator(".page")).to_contain_text("ended_by_administrator")
    await olga.goto(stack.url + "/usage?by=day")
    await expect(olga.get_by_text("None in this time.")).to_be_visible()


async def test_a_request_is_found_by_its_id(stack: Stack, logged_in: OpenPage) -> None:
    """Its own user and administrators find it, other users are told that there is none."""
    alice, bob = [await logged_in(name) for name in ("alice", "bob")]
    outcome = await stack.chat("alice")
    await stack.recorded(outcome)
    for page, is_shown in ((alice, True), (bob, False)):
        await visit(page, stack.url + "/requests")
        await page.keyboard.press("/")
        await page.keyboard.type(f"{outcome['request_id']}\n")
        if is_shown:
            await expect(page.locator(".details")).to_contain_text("prompt tokens")
            await expect(page.locator(".bar-of-times")).to_be_visible()
        else:
            await expect(page.get_by_text("There is no record of this request")).to_be_visible()


async def test_the_table_holds_still(stack: Stack, logged_in: OpenPage) -> None:
    """New requests are announced, and shown when the reader asks for them."""
    await stack.recorded(await stack.chat("bob"))
    page = await logged_in("bob")
    await page.goto(stack.url + "/requests")
    rows = page.locator("tbody tr")
    await expect(rows.first).to_contain_text("200")
    before = await rows.count()
    await stack.chat("bob")
    await expect(page.get_by_text("1 new")).to_be_visible()
    assert await rows.count() == before
    await page.get_by_text("1 new").click()
    await expect(rows).to_have_count(before + 1)


async def test_days_are_those_of_utc(stack: Stack, logged_in: OpenPage) -> None:
    """For a reader in another zone, too, whose clock shows the day before at UTC's midnight."""
    await stack.recorded(await stack.chat("bob"))
    page = await logged_in("bob", "/usage")
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Emulation.setTimezoneOverride", {"timezoneId": "America/Los_Angeles"})
    await page.reload()
    chart = page.locator(".panel:has-text('Tokens by day') .chart")
    await expect(page.locator(".tile", has_text="requests")).not_to_contain_text("–")
    tooltip = chart.locator("div", has_text="completion")

    async def shown() -> str:
        await chart.hover()
        return str(await tooltip.first.inner_text()) if await tooltip.count() else ""

    text = await until(shown, "the tooltip of a day")
    assert text.startswith(f"{datetime.now(UTC):%Y-%m-%d}")


async def test_what_others_typed_is_text(stack: Stack, logged_in: OpenPage) -> None:
    """Markup in a record is shown as it is, in the table and alone."""
    with connect(stack.database_url, application="tests") as connection:
        connection.execute(
            "INSERT INTO llama_requests (id, created_at, username, user_id, method, path, model, error,"
            " admitted, latency_ms) VALUES (gen_random_uuid(), now(), 'eve', 0, 'GET', %(text)s,"
            " %(text)s, %(text)s, true, 5)",
            {"text": HOSTILE},
        )
    page = await logged_in("admin")
    await page.goto(stack.url + "/requests")
    await page.get_by_text(HOSTILE).first.click()
    await expect(page.locator(".details")).to_contain_text(HOSTILE)
    assert await page.locator(".page img, .details img").count() == 0
    assert await page.title() == "Requests · Llamaserve"


async def test_keys_and_theme(stack: Stack, logged_in: OpenPage) -> None:
    """`?` tells the keys, a number goes to a page, but not away from a dialog, which may show a key this
    once; `t` changes the theme, which stays."""
    page = await logged_in("alice")
    await page.keyboard.press("?")
    await expect(page.get_by_text("light or dark", exact=True)).to_be_visible()
    await page.keyboard.press("3")
    await page.wait_for_timeout(500)  # for what must not happen
    assert page.url == stack.url + "/"
    await page.keyboard.press("Escape")
    await expect(page.locator(".q-dialog")).to_have_count(0)
    await page.keyboard.press("2")
    await page.wait_for_url("**/usage")
    was_dark = await page.evaluate("document.body.classList.contains('body--dark')")
    await page.keyboard.press("t")
    await page.reload()
    await expect(page.locator("body.body--dark")).to_have_count(0 if was_dark else 1)


async def test_csv(stack: Stack, logged_in: OpenPage) -> None:
    """Records can be had as CSV; a user gets the own ones."""
    await stack.recorded(await stack.chat("bob"))
    page = await logged_in("bob")
    await page.goto(stack.url + "/requests")
    async with page.expect_download() as waiting:
        await page.get_by_text("CSV").click()
    path = await (await waiting.value).path()
    lines = path.read_text().splitlines()
    assert lines[0].startswith("id,created_at,username")
    assert len(lines) > 1
    assert all(",bob," in line for line in lines[1:])


async def test_the_dashboard_talks_to_this_machine_alone(stack: Stack) -> None:
    """All of its connections are to loopback addresses."""
    assert stack.dashboard.process is not None
    found = psutil.Process(stack.dashboard.process.pid).net_connections("inet")
    assert found
    assert {one.raddr.ip for one in found if one.raddr} <= {"127.0.0.1", "::1"}
