"""The dashboard and its pages need nothing from other machines, and try nothing there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Error, expect

from proxy.dashboard.pages import PAGES
from tests.support.chromium import chromium, log_in, running_chromium, visit
from tests.support.dashboard import Stack, running_stack
from tests.support.postgres import Postgres
from tests.support.wait import until
from tests.support.watched_network import ELSEWHERE, RESOLVER, WatchedNetwork, watched_network


@pytest.fixture
def network(directory: Path) -> Iterator[WatchedNetwork]:
    with watched_network(directory) as network:
        yield network


@pytest.fixture
def inside(network: WatchedNetwork, postgres: Postgres, directory: Path) -> Iterator[Stack]:
    """Proxy and dashboard in that network, without an engine."""
    database_url = postgres.fresh_database()
    with running_stack("", database_url, directory, prefix=network.prefix) as stack:
        yield stack


async def test_no_request_leaves_the_machine(
    network: WatchedNetwork, inside: Stack, directory: Path
) -> None:
    """Proxy, dashboard and browser run in a network whose way out is watched, names included; while
    every page is opened, nothing is sent there. What is meant for elsewhere is seen."""
    program = directory / "chromium"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([*network.prefix, chromium()])} "$@"\n')
    program.chmod(0o700)
    async with running_chromium(str(program)) as browser:
        page = await browser.new_page()
        page.set_default_timeout(15_000)
        try:
            await log_in(page, inside.url, inside.keys["admin"])
            for one in PAGES:
                await visit(page, inside.url + one.path)
                await expect(page.locator(".nav.here")).to_contain_text(one.title)
        finally:
            assert network.sent() == []  # a page may also wait in vain for what it asks for
        named = f"{RESOLVER} for elsewhere.example"
        for address, seen in ((ELSEWHERE, ELSEWHERE), ("elsewhere.example", named)):
            with pytest.raises(Error):
                await page.goto(f"http://{address}/", timeout=1_000)
            await until(lambda to=seen: to in network.sent(), "the request to be seen")  # type: ignore[misc]
