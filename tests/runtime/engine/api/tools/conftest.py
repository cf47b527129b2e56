"""An engine whose template has the tools and thinking of the Hermes family, and one that has neither."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.engine import Engine
from tests.support.gguf import CHAT_TEMPLATE, build_model
from tests.support.templates import HERMES_MARKS, HERMES_TEMPLATE


@pytest.fixture(scope="package")
def hermes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine of that family; its marks are special tokens, which are never drawn by themselves."""
    folder = tmp_path_factory.mktemp("hermes")
    build_model(folder / "model.gguf", chat_template=HERMES_TEMPLATE, user_defined=HERMES_MARKS)
    with Engine(tmp_path_factory.mktemp("engine"), folder / "model.gguf") as engine:
        yield engine.start()


@pytest.fixture(scope="package")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose template knows neither."""
    folder = tmp_path_factory.mktemp("plain")
    build_model(folder / "model.gguf", chat_template=CHAT_TEMPLATE)
    with Engine(tmp_path_factory.mktemp("engine"), folder / "model.gguf") as engine:
        yield engine.start()
