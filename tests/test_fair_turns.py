"""Fair turns as users see them: the whole appliance, with the real llama_cpp.server on a small GGUF."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.appliance import Appliance
from tests.support.gguf import SLOW, build_model
from tests.support.load import heavy_and_light, restart_under_load


@pytest.fixture(scope="module")
def appliance() -> Iterator[Appliance]:
    """A running appliance with one turn at a time, slow enough for requests to wait for each other."""
    settings = {
        "LLAMA_SERVER_N_THREADS": "1",
        "LLAMA_PROXY_RATE_LIMIT": "1000",
        "LLAMA_PROXY_MAX_CONCURRENT": "1",
    }
    with Appliance(model=False, **settings) as appliance:
        build_model(appliance.root / "models" / "slow.gguf", shape=SLOW)
        appliance.start()
        yield appliance


def create_users(appliance: Appliance, *names: str) -> dict[str, str]:
    """Create users; their keys by name."""
    return {name: appliance.cli("create-user", "--username", name, "--quiet") for name in names}


def test_a_light_user_waits_for_one_turn_only(appliance: Appliance) -> None:
    """Of another user's 32 waiting requests at most the running one and one more go first."""
    keys = create_users(appliance, "heavy", "light")
    seen = asyncio.run(heavy_and_light(appliance.proxy_url, keys["heavy"], keys["light"], max_tokens=40))
    assert {one.status for one in [*seen.heavy, seen.light]} == {200}
    assert seen.overtaken_by() <= 2


def test_a_restart_of_the_server_loses_nothing(appliance: Appliance) -> None:
    """Two users' 24 requests at a time are all answered: the running one ends, the others wait."""
    keys = create_users(appliance, "one", "two")
    seen = asyncio.run(restart_under_load(appliance, keys))
    assert [(one.status, one.body[-300:]) for one in seen.lost()] == []
    assert seen.answered_after() >= 12
