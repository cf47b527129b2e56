"""Proxies of both kinds: limits in memory, and in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy


@pytest.fixture(params=[False, True], ids=["alone", "shared"])
def settings_of_both(settings: ProxySettings, request: pytest.FixtureRequest) -> ProxySettings:
    """Of a proxy that stands alone, and of one that may be joined by others."""
    return replace(settings, shared=request.param, max_concurrent=100)


@pytest.fixture
async def either(settings_of_both: ProxySettings) -> AsyncIterator[RunningProxy]:
    """A proxy of each kind."""
    async with running_proxy(settings_of_both) as proxy:
        yield proxy
