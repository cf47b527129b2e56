"""The engine's settings: what is left open is filled in from the machine and the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.config import load
from runtime.engine.settings import EngineSettings, cores_in, physical_cores
from runtime.models import read_model
from tests.support.gguf import build_model


def settings(tmp_path: Path, *, trained: int = 4096, **values: str) -> EngineSettings:
    path = build_model(tmp_path / "some model.gguf", context_length=trained)
    return EngineSettings.from_config(load(tmp_path, values), read_model(path))


@pytest.mark.parametrize(
    ("trained", "configured", "n_ctx"),
    [(4096, "", 4096), (131_072, "", 8192), (131_072, "16384", 16_384), (4096, "0", 0)],
)
def test_the_context_is_the_trained_one_within_bounds(
    tmp_path: Path, trained: int, configured: str, n_ctx: int
) -> None:
    """At most 8192 tokens unasked; 0 asks for the model's own, whatever it is."""
    assert settings(tmp_path, trained=trained, LLAMA_SERVER_N_CTX=configured).n_ctx == n_ctx


def test_the_model_is_called_by_its_file_name_and_the_key_is_not_shown(tmp_path: Path) -> None:
    """repr is what a stray log line or a trace would hold."""
    found = settings(tmp_path, LLAMA_SERVER_API_KEY="very-secret")

    assert found.model_alias == "some model.gguf"
    assert found.api_key == "very-secret"
    assert "very-secret" not in repr(found)


def test_threads_are_the_physical_cores_unless_set(tmp_path: Path) -> None:
    """A number for tokens holds for prompts too, unless those have their own."""
    unset = settings(tmp_path)
    both = settings(tmp_path, LLAMA_SERVER_N_THREADS="3")
    each = settings(tmp_path, LLAMA_SERVER_N_THREADS="3", LLAMA_SERVER_N_THREADS_BATCH="5")

    assert (unset.n_threads, unset.n_threads_batch) == (physical_cores(),) * 2
    assert (both.n_threads, both.n_threads_batch) == (3, 3)
    assert (each.n_threads, each.n_threads_batch) == (3, 5)


def test_hyper_threads_are_not_counted_as_cores() -> None:
    """Four processors on two cores are two; within an affinity, those of its processors."""
    cpuinfo = "\n\n".join(
        f"processor\t: {number}\nmodel name\t: CPU: x\nphysical id\t: 0\ncore id\t\t: {number % 2}"
        for number in range(4)
    )

    assert cores_in(cpuinfo, {0, 1, 2, 3}) == 2
    assert cores_in(cpuinfo, {0, 2}) == 1
    assert cores_in("processor\t: 0\nBogoMIPS\t: 50", {0}) == 0
