"""The page of batches: users see, cancel and read the own ones, administrators see and cancel all."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types import Batch
from playwright.async_api import expect

from proxy.batches import overview
from proxy.database.pool import connect
from tests.proxy.batches.conftest import lines_of
from tests.proxy.dashboard.conftest import OpenPage
from tests.proxy.dashboard.test_events import EMIT
from tests.support.dashboard import Browser, Stack
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANCELS = """() => {
  const elements = Object.entries(document.getElementById("app")._vnode.component.proxy.elements);
  return elements.flatMap(([id, element]) => (element.events ?? []).filter(one => one.type === "cancel")
    .map(one => [Number(id), one.listener_id]));
}"""
MARKUP = "<img src=x onerror=document.title='owned'>"


async def submit(stack: Stack, username: str, lines: list[dict[str, Any]], name: str = "") -> Batch:
    """A batch of these lines, whose file has that name."""
    key = stack.keys[username]
    async with openai.AsyncOpenAI(base_url=stack.proxy_url + "/v1", api_key=key) as client:
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        file = await client.files.create(file=("lines.jsonl", content), purpose="batch")
        return await client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"file": name},
        )


async def state_of(stack: Stack, username: str, batch: Batch) -> Batch:
    key = stack.keys[username]
    async with openai.AsyncOpenAI(base_url=stack.proxy_url + "/v1", api_key=key) as client:
        return await client.batches.retrieve(batch.id)


async def ended(stack: Stack, username: str, batch: Batch) -> Batch:
    """The batch when it has ended."""

    async def look() -> Batch | None:
        now = await state_of(stack, username, batch)
        return now if now.status in ("completed", "failed", "cancelled") else None

    found: Batch = await until(look, "the batch to end")
    return found


async def test_a_batch_from_its_file_to_its_answers(stack: Stack, logged_in: OpenPage) -> None:
    """Its user sees lines done and failed and downloads the results; what was typed stays text. Another
    user sees nothing of it, an administrator all but the results. A limit of lines is told, too."""
    lines = lines_of(3, max_tokens=4)
    lines[1]["body"]["temperature"] = 9
    batch = await submit(stack, "alice", lines, MARKUP)
    stack.new_user("emil", batch_limit=9)
    alice, emil, admin = [await logged_in(name, "/batches") for name in ("alice", "emil", "admin")]
    row = alice.locator(f"tr:has-text('{batch.id}')")
    await expect(row).to_contain_text("completed")
    await expect(row).to_contain_text("3 of 3")
    await expect(row).to_contain_text("1 failed")
    await expect(row).to_contain_text(MARKUP)
    assert await alice.locator(".page img").count() == 0
    for link, wanted in (("answers", {"line-0", "line-2"}), ("errors", {"line-1"})):
        async with alice.expect_download() as waiting:
            await row.get_by_text(link, exact=True).click()
        text = (await (await waiting.value).path()).read_text()
        assert {json.loads(line)["custom_id"] for line in text.splitlines()} == wanted
    await expect(admin.locator(f"tr:has-text('{batch.id}')")).to_contain_text("alice")
    await expect(admin.get_by_text("answers", exact=True)).to_have_count(0)
    await expect(emil.locator("body")).to_contain_text("No batches.")
    await expect(emil.locator("body")).not_to_contain_text(batch.id)
    await ended(stack, "emil", await submit(stack, "emil", lines_of(2, max_tokens=4)))
    await emil.goto(stack.url + "/usage")
    cells = emil.locator("tbody tr", has_text="9 lines of batches").locator("td")
    await expect(cells.nth(1)).to_have_text("2")
    await expect(cells.nth(2)).to_have_text("7")
    await emil.goto(stack.url + "/users")
    await expect(emil.locator(".page")).to_contain_text("9 lines of batches in 24 h")


async def test_why_a_batch_failed(stack: Stack, logged_in: OpenPage) -> None:
    """The line and the field of the first mistake, and how many there are."""
    lines = [{**line, "method": "GET"} for line in lines_of(3)]
    batch = await submit(stack, "bob", lines)
    page = await logged_in("bob", "/batches")
    row = page.locator(f"tr:has-text('{batch.id}')")
    await expect(row).to_contain_text("line 1: The field 'method' must be POST. (and 2 more)")


async def test_cancelling(stack: Stack, logged_in: OpenPage) -> None:
    """After a question: by its user, and by an administrator, whom the audit names."""
    for canceller in ("alice", "admin"):
        page = await logged_in(canceller, "/batches")
        batch = await submit(stack, "alice", lines_of(20, max_tokens=2000, min_tokens=2000))
        row = page.locator(f"tr:has-text('{batch.id}')")
        await expect(row).to_contain_text("0 of 20")
        await page.get_by_label(f"Cancel {batch.id}").click()
        await page.get_by_text("Let it run").click()
        assert (await state_of(stack, "alice", batch)).status == "in_progress"
        await page.get_by_label(f"Cancel {batch.id}").click()
        await page.get_by_role("button", name="Cancel the batch").click()
        assert (await ended(stack, "alice", batch)).status == "cancelled"
        await expect(row).to_contain_text("cancelled")
        await expect(page.get_by_label(f"Cancel {batch.id}")).to_have_count(0)
    with connect(stack.database_url, application="tests") as connection:
        told = connection.execute(
            "SELECT new ->> 'batch', application FROM llama_audit WHERE action = 'cancel batch'"
        ).fetchall()
    assert told == [(batch.id, "llamaserve-dashboard/admin")]


async def test_the_batches_of_others(stack: Stack, logged_in: OpenPage) -> None:
    """No event of a user's page cancels one, and no link gives the file of one."""
    batch = await submit(stack, "alice", lines_of(20, max_tokens=2000, min_tokens=2000))
    page = await logged_in("bob", "/batches")
    await page.evaluate(EMIT, [await page.evaluate(CANCELS), [[batch.id]], None])
    await page.get_by_role("button", name="Cancel the batch").click()
    await expect(page.get_by_text("This batch has ended by itself.")).to_be_visible()
    assert (await state_of(stack, "alice", batch)).status == "in_progress"
    now = await logged_in("alice")
    await expect(now.locator(".panel:has-text('Running') tbody")).to_contain_text("batch")
    await expect(now.locator(".tile", has_text="slots in use")).to_contain_text("3 of 3")
    async with Browser(stack.url) as visitor:
        link = f"/downloads/{batch.input_file_id}"
        status, _, headers = await visitor.get(link)
        assert (status, headers["Location"]) == (303, f"/login?next={link}")
        await visitor.log_in(stack.keys["bob"])
        for path in (link, "/downloads/file-0", "/downloads/batch"):
            assert (await visitor.get(path))[0] == 404
        await visitor.log_in(stack.keys["alice"])
        status, text, headers = await visitor.get(link)
        assert (status, len(text.splitlines())) == (200, 20)
        assert headers["Content-Disposition"].startswith("attachment")
    with connect(stack.database_url, application="tests") as connection:
        assert overview.cancel(connection, batch.id, user="alice")
    await ended(stack, "alice", batch)
