"""Fixtures of the proxy's tests: a fake engine, and users made as the command line makes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from proxy.database.pool import connect
from proxy.identity import users
from proxy.settings import ProxySettings
from tests.support.engine import API_KEY, Engine
from tests.support.gguf import SLOW, build_model
from tests.support.gguf_bert import random_bert
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.upstream import FakeUpstream, fake_upstream
from tests.support.wait import until


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """asyncio's own loop; and uvloop, on which a proxy runs, for the tests that ask for it."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    marker = item.get_closest_marker("asyncio")
    if marker is not None and "loop_factories" in marker.kwargs:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    """A fake engine."""
    async with fake_upstream() as upstream:
        yield upstream


@pytest.fixture
def settings(database_url: str, upstream: FakeUpstream, directory: Path) -> ProxySettings:
    """A real proxy's defaults, in front of the fake engine."""
    return settings_for(database_url=database_url, backend_url=upstream.url, directory=directory)


@pytest.fixture
async def proxy(settings: ProxySettings) -> AsyncIterator[RunningProxy]:
    """A running proxy with the default settings."""
    async with running_proxy(settings) as proxy:
        yield proxy


@pytest.fixture
async def wide_proxy(settings: ProxySettings) -> AsyncIterator[RunningProxy]:
    """One whose engine takes many requests at a time."""
    async with running_proxy(replace(settings, max_concurrent=100)) as proxy:
        yield proxy


@pytest.fixture
def create_user(database_url: str) -> Callable[..., str]:
    """Makes a user and returns the key."""

    def create(username: str = "alice", **fields: Any) -> str:
        with connect(database_url, application="tests") as connection:
            made = users.create_user(connection, username=username, **fields)
            return made.key

    return create


@pytest.fixture
def key(create_user: Callable[..., str]) -> str:
    """The key of a user named alice."""
    return create_user("alice")


@pytest.fixture
def admin_key(create_user: Callable[..., str], database_url: str) -> str:
    """The key of the administrator root."""
    key = create_user("root", rate_limit=10**6)
    with connect(database_url, application="tests") as connection:
        users.set_admin(connection, "root", admin=True)
    return key


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine of three slots that takes some 10 ms for a token; a model beside it embeds."""
    model = tmp_path_factory.mktemp("models") / "slow.gguf"
    build_model(model, shape=SLOW)
    embedding = random_bert(layers=32).write(model.parent / "embedding.gguf")
    env = {"LLAMA_SERVER_PARALLEL": "3", "LLAMA_SERVER_EMBEDDING_MODEL": str(embedding)}
    with Engine(tmp_path_factory.mktemp("engine"), model, env=env) as engine:
        engine.start()
        yield engine


@pytest.fixture
async def engine_proxy(
    engine: Engine, database_url: str, directory: Path
) -> AsyncIterator[RunningProxy]:
    """A proxy in front of it, which knows it to be ours."""
    settings = settings_for(database_url=database_url, backend_url=engine.url, directory=directory)
    async with running_proxy(replace(settings, backend_key=API_KEY)) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the engine to be known")
        yield proxy
