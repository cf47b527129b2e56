"""Engines that several files share: they start in seconds, which adds up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.gguf import SLOW, build_model

LONG_PIECE = "abcdefghij" * 8


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a quick model, which has a piece of 80 bytes, and a slow one."""
    folder = tmp_path_factory.mktemp("models")
    build_model(folder / "quick.gguf", extra_tokens=[LONG_PIECE])
    build_model(folder / "slow.gguf", shape=SLOW)
    return folder


@pytest.fixture(scope="package")
def quick(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine that answers at once, with a context of 512 tokens."""
    env = {"LLAMA_SERVER_N_CTX": "512", "LLAMA_SERVER_MAX_TOKENS": "24"}
    with Engine(tmp_path_factory.mktemp("quick"), models / "quick.gguf", env=env) as engine:
        yield engine.start()


@pytest.fixture(scope="package")
def slow(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine that takes some 10 ms for a token."""
    with Engine(tmp_path_factory.mktemp("slow"), models / "slow.gguf") as engine:
        yield engine.start()
