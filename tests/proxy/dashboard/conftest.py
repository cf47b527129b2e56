"""A proxy and a dashboard that run once for all tests of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.dashboard import Browser, Stack, running_stack
from tests.support.engine import Engine
from tests.support.postgres import Postgres


@pytest.fixture(scope="package")
def stack(
    engine: Engine, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Proxy and dashboard in front of an engine of three slots."""
    with running_stack(engine, postgres.fresh_database(), tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
async def visitor(stack: Stack) -> AsyncIterator[Browser]:
    """One without a session."""
    async with Browser(stack.url) as browser:
        yield browser
