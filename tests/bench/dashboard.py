"""What ten open pages of the dashboard cost: the time to the first token beside them, memory, CPU time.

    python -m tests.bench.dashboard MODEL.gguf [--rounds N]

Pages are opened and their WebSockets read without a browser, which would take more of the machine than
what is measured, and which is on another machine in practice. Rounds with and without pages alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import psutil

from tests.bench.report import Table
from tests.support.dashboard import Browser, Stack, running_stack
from tests.support.engine import Engine
from tests.support.postgres import Postgres

TABS = ("/", "/", "/", "/", "/", "/usage", "/usage", "/requests", "/requests", "/requests")
ASKED = 12
"""Requests of a round."""
SETTLE_S = 2.0


def main(arguments: list[str]) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, Postgres() as postgres:
        root = Path(folder)
        (root / "engine").mkdir()
        with (
            Engine(root / "engine", given.model.resolve(), env={"LLAMA_SERVER_N_THREADS": ""}) as engine,
        ):
            engine.start()
            with running_stack(engine.url, postgres.fresh_database(), root) as stack:
                print(asyncio.run(measure(stack, given.rounds)).text())
    return 0


async def measure(stack: Stack, rounds: int) -> Table:
    """Alternate rounds without and with pages."""
    assert stack.dashboard.process is not None
    process = psutil.Process(stack.dashboard.process.pid)
    table = Table(
        title="Ten pages of the dashboard",
        columns=["no pages", "ten pages"],
        ratios=[("ten pages", "no pages")],
    )
    await ask(stack)
    for _ in range(rounds):
        for column in table.columns:
            async with AsyncExitStack() as exits:
                if column == "ten pages":
                    await exits.enter_async_context(open_tabs(stack))
                began, used = time.monotonic(), sum(process.cpu_times()[:2])
                for _ in range(ASKED):
                    table.add("time to the first token, ms", column, await ask(stack) * 1000)
                share = (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - began)
                table.add("dashboard: CPU, % of a core", column, 100 * share)
                table.add("dashboard: resident, MB", column, process.memory_info().rss / 1e6)
    return table


async def ask(stack: Stack) -> float:
    """Seconds to the first token of a streamed answer, which is read to its end."""
    body = {
        "messages": [{"role": "user", "content": f"Tell me a story. {time.monotonic()}"}],
        "max_tokens": 24,
        "stream": True,
    }
    headers = {"Authorization": f"Bearer {stack.keys['alice']}"}
    url = stack.proxy_url + "/v1/chat/completions"
    async with aiohttp.ClientSession() as client:
        began = time.perf_counter()
        async with client.post(url, json=body, headers=headers) as response:
            first: float | None = None
            async for line in response.content:
                if first is None and b'"content"' in line:
                    first = time.perf_counter() - began
    assert first is not None
    return first


@asynccontextmanager
async def open_tabs(stack: Stack) -> AsyncIterator[None]:
    """Ten pages of three users, whose sockets are read."""
    async with AsyncExitStack() as stack_of_tabs:
        readers = []
        for number, path in enumerate(TABS):
            browser = await stack_of_tabs.enter_async_context(Browser(stack.url))
            await browser.log_in(stack.keys[("admin", "alice", "bob")[number % 3]])
            _, text, _ = await browser.get(path)
            found = re.search(r"'client_id': '([0-9a-f-]{36})'", text)
            assert found is not None
            socket = await stack_of_tabs.enter_async_context(browser.socket(found[1]))
            await socket.send_str("40")
            readers.append(asyncio.create_task(read(socket)))
        await asyncio.sleep(SETTLE_S)
        try:
            yield
        finally:
            for reader in readers:
                reader.cancel()
                with suppress(asyncio.CancelledError):
                    await reader


async def read(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read what comes, and answer pings as a page does."""
    async for message in socket:
        if message.data == "2":
            await socket.send_str("3")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
