"""Make the pictures in docs/dashboard/ from a real appliance with real traffic.

    python -m tests.docs.record_dashboard [MODEL.gguf]

Runs a copy of the checkout with the starter model, or the one that is named, lets users send requests,
and photographs every page: light, dark, and as wide as a phone.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
from playwright.async_api import Browser, Page, StorageState

from proxy.dashboard.pages import PAGES
from runtime.config import ROOT
from tests.support.appliance import Appliance
from tests.support.chromium import running_chromium

PICTURES = ROOT / "docs" / "dashboard"
USERS = ("alice", "bob", "carol", "dora")
SEED = 7
WARM_UP_S = 25.0
SETTLE_S = 2.5
WIDE, PHONE = (1100, 700), (400, 780)
QUESTIONS = (
    "How do I create a user?",
    "Tell me a long story about a llama who ran a server. " * 4,
    "What is the capital of France?",
)


def main(arguments: list[str]) -> int:
    """Run the appliance and take the pictures."""
    settings = {"LLAMA_DASHBOARD_ENABLED": "1", "LLAMA_SERVER_PARALLEL": "2"}
    with Appliance(model=False, folder="llamaserve", **settings) as appliance:
        if arguments:
            (appliance.root / "models" / Path(arguments[0]).name).symlink_to(
                Path(arguments[0]).resolve()
            )
        appliance.start()
        keys = [appliance.cli("create-user", "--username", name, "--quiet") for name in USERS]
        appliance.cli("create-group", "--name", "students", "--rate-limit", "120")
        appliance.cli("set-group", "--username", "bob", "--name", "students")
        submit_batches(appliance, keys)
        link = appliance.console("dashboard").stdout.strip()
        asyncio.run(record(appliance.proxy_url, keys, link))
    return 0


def submit_batches(appliance: Appliance, keys: list[str]) -> None:
    """A long one, one that waits for it, and one with mistakes."""
    table = appliance.base / "questions.csv"
    for key, rows in ((keys[0], 40_000), (keys[0], 50), (keys[1], 8), (keys[2], 2)):
        lines = [f"{number},{QUESTIONS[number % 3]},8\n" for number in range(rows)]
        lines += lines[:1] if rows == 2 else []  # a custom_id twice
        table.write_text("custom_id,prompt,max_tokens\n" + "".join(lines))
        subprocess.run(
            [appliance.root / "bin/batch.sh", "--url", appliance.proxy_url + "/v1", "submit", table],
            env=appliance.environment | {"OPENAI_API_KEY": key},
            check=True,
        )


async def record(proxy_url: str, keys: list[str], link: str) -> None:
    """Take the pictures while the users send requests."""
    PICTURES.mkdir(exist_ok=True)
    async with traffic(proxy_url, keys), running_chromium() as browser:
        await asyncio.sleep(WARM_UP_S)
        state = await log_in(browser, link)
        for name, size, scheme in (
            ("light", WIDE, "light"),
            ("dark", WIDE, "dark"),
            ("phone", PHONE, "light"),
        ):
            context = await browser.new_context(
                viewport={"width": size[0], "height": size[1]},
                color_scheme="dark" if scheme == "dark" else "light",
                storage_state=state,
            )
            page = await context.new_page()
            for one in PAGES:
                await photograph(page, link.partition("/login")[0] + one.path, one.title, name)
            await context.close()


async def log_in(browser: Browser, link: str) -> StorageState:
    """Use the one-time link; returns the session's cookie."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(link)
    await page.click("button")
    await page.wait_for_selector(".page")
    state = await context.storage_state()
    await context.close()
    return state


async def photograph(page: Page, url: str, title: str, name: str) -> None:
    """One page, when it has filled itself."""
    await page.goto(url)
    await asyncio.sleep(SETTLE_S)
    # Commands of the console take their time beside requests that run.
    await page.wait_for_function("!document.body.innerText.includes('Reading')", timeout=60_000)
    file = PICTURES / f"{title.lower().replace(' ', '-')}-{name}.png"
    await page.screenshot(path=file, animations="disabled")
    print(file.relative_to(ROOT), file.stat().st_size)


@asynccontextmanager
async def traffic(proxy_url: str, keys: list[str]) -> AsyncIterator[None]:
    """Users who ask again and again, one of them with a mistake now and then."""
    draw = random.Random(SEED)  # noqa: S311 - no secret
    async with aiohttp.ClientSession() as client:

        async def ask(key: str) -> None:
            while True:
                body: dict[str, object] = {
                    "messages": [{"role": "user", "content": draw.choice(QUESTIONS)}],
                    "max_tokens": draw.choice((40, 120, 240)),
                    "stream": True,
                }
                if draw.random() < 0.1:
                    body["temperature"] = 9
                async with client.post(
                    proxy_url + "/v1/chat/completions",
                    json=body,
                    headers={"Authorization": f"Bearer {key}"},
                ) as response:
                    await response.read()
                await asyncio.sleep(draw.random() * 2)

        tasks = [asyncio.create_task(ask(key)) for key in (*keys, *keys[:2])]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError, aiohttp.ClientError):
                    await task


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
