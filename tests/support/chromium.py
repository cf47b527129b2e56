"""The system's Chromium, driven by Playwright, which downloads none of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page, async_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_HOSTS = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
_OWN_SERVICES = (
    "accounts.google.com",
    "clients2.google.com",
    "content-autofill.googleapis.com",
    "optimizationguide-pa.googleapis.com",
    "safebrowsing.googleapis.com",
    "update.googleapis.com",
)
"""What Chromium asks by itself, whatever page it shows."""
NO_CHROMIUM = "there is no Chromium here"


def chromium() -> str:
    """The path of the program; the test is skipped where there is none."""
    for name in PROGRAMS:
        if path := shutil.which(name):
            return path
    pytest.skip(NO_CHROMIUM)


@asynccontextmanager
async def running_chromium(program: str = "") -> AsyncIterator[Browser]:
    """A browser that can reach this machine alone. With a program of its own it may try others, but for
    the services of its maker."""
    rules = ", ".join(f"MAP {name} ~NOTFOUND" for name in _OWN_SERVICES) if program else _HOSTS
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program or chromium(),
            args=["--no-sandbox", "--disable-gpu", f"--host-resolver-rules={rules}"],
        )
        try:
            yield browser
        finally:
            await browser.close()


async def log_in(page: Page, url: str, key: str) -> None:
    """Open a page of the dashboard and log in, as a person does; wait until the page hears clicks."""
    await page.goto(url)
    await page.fill("#key", key)
    await page.click("button")
    await page.wait_for_selector(".page")
    await page.wait_for_function("() => window.did_handshake")


async def visit(page: Page, url: str) -> None:
    """Open a page of the dashboard, and wait until it hears clicks."""
    await page.goto(url)
    await page.wait_for_function("() => window.did_handshake")
