"""An appliance with the server alone, which starts quickly, for the tests of several files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.appliance import MODEL, Appliance


@pytest.fixture(scope="module")
def shared() -> Iterator[Appliance]:
    """An appliance with the server alone, without a database: it starts quickly."""
    with Appliance(LLAMA_PROXY_ENABLED="0") as appliance:
        yield appliance


@pytest.fixture
def appliance(shared: Appliance) -> Iterator[Appliance]:
    """The server-only appliance, not started."""
    configuration = dict(shared.configuration)
    yield shared
    shared.stop()
    shared.configuration = configuration
    shared.configure()
    (shared.root / "runtime/data/model").unlink(missing_ok=True)
    for model in (shared.root / "models").glob("*.gguf"):
        if model.name != MODEL:
            model.unlink()
