"""An appliance that several files share, since each start takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.appliance import Appliance
from tests.support.gguf import SLOW, build_model


@pytest.fixture(scope="package")
def running() -> Iterator[Appliance]:
    """A started appliance. A test that changes it must restore it.

    An answer takes some seconds, so that a test can act meanwhile.
    """
    configuration = {
        "LLAMA_SERVER_N_THREADS": "1",
        "LLAMA_SERVER_MAX_TOKENS": "400",
        "LLAMA_SERVER_PROMPT_LOOKUP": "0",  # it would finish repetitive answers at once
        "LLAMA_PROXY_RATE_LIMIT": "1000000",
    }
    with Appliance(model=False, **configuration) as appliance:
        build_model(appliance.root / "models/slow.gguf", shape=SLOW)
        appliance.start()
        yield appliance
