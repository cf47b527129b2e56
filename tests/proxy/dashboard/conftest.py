"""A proxy and a dashboard that run once for all tests of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Protocol

import playwright.async_api
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.support.chromium import log_in, running_chromium
from tests.support.dashboard import Browser, Stack, running_stack
from tests.support.engine import Engine
from tests.support.postgres import Postgres


class OpenPage(Protocol):
    """Logs a user in, and opens a page of the dashboard; without a name as a visitor."""

    def __call__(self, username: str, path: str = "/") -> Awaitable[Page]: ...


@pytest.fixture(scope="package")
def stack(
    engine: Engine, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Proxy and dashboard in front of an engine of three slots."""
    directory = tmp_path_factory.mktemp("stack")
    with running_stack(engine.url, postgres.fresh_database(), directory) as stack:
        yield stack


@pytest.fixture
async def visitor(stack: Stack) -> AsyncIterator[Browser]:
    """One without a session."""
    async with Browser(stack.url) as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[playwright.async_api.Browser]:
    async with running_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def logged_in(browser: playwright.async_api.Browser, stack: Stack) -> AsyncIterator[OpenPage]:
    """Opens a page of a user's own, in which nothing may go wrong or go to another host."""
    contexts, wrong = [], []

    async def open_page(username: str, path: str = "/") -> Page:
        context = await browser.new_context()
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(20_000)
        expect.set_options(timeout=15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((stack.url, "data:", "blob:"))
                else wrong.append(request.url)
            ),
        )
        if username:
            await log_in(page, stack.url + path, stack.keys[username])
        else:
            await page.goto(stack.url + path)
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert not wrong


async def shown_secret(page: Page) -> str:
    """The key or link that a dialog shows; closes it."""
    dialog = page.get_by_role("dialog").filter(has=page.locator(".copied"))
    secret = await dialog.locator(".copied").inner_text()
    await dialog.get_by_label("Close").click()
    await expect(page.locator(".q-dialog")).to_have_count(0)
    return secret


async def confirm(page: Page, question: str, yes: str) -> None:
    """Answer the dialog that asks this, which may lie on another one and not be there yet."""
    asked = page.get_by_role("dialog", name=question)
    await asked.get_by_role("button", name=yes).click()
