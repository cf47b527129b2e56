"""An engine that reads images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.gguf_projector import N_CTX, build_projector, skip_without_library

SIDE = 48
N_TOKENS = 144
"""Of an image: (SIDE / PATCH)². With batches of 64 it takes several steps."""


@pytest.fixture(scope="package")
def projector(models: Path) -> Path:
    """A projector for the quick model."""
    skip_without_library()
    return build_projector(models / "mmproj.gguf", side=SIDE)


@pytest.fixture(scope="package")
def seeing(models: Path, projector: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine that reads images, with eight slots."""
    env = {
        "LLAMA_SERVER_N_CTX": str(N_CTX),
        "LLAMA_SERVER_PARALLEL": "8",
        "LLAMA_SERVER_MMPROJ": str(projector),
        "LLAMA_SERVER_N_BATCH": "64",
    }
    with Engine(tmp_path_factory.mktemp("seeing"), models / "quick.gguf", env=env) as engine:
        yield engine.start()
