"""An appliance that several files share: starting one takes seconds, which add up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.appliance import Appliance


@pytest.fixture(scope="package")
def running() -> Iterator[Appliance]:
    """A started appliance. Whoever changes it puts it back.

    An answer is long enough that a test can act while one is made.
    """
    with Appliance(LLAMA_SERVER_MAX_TOKENS="1500", LLAMA_PROXY_RATE_LIMIT="1000000") as appliance:
        appliance.start()
        yield appliance
