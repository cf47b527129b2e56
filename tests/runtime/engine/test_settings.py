"""The engine's settings: what is left open is filled in from the machine and the model."""

from __future__ import annotations

from pathlib import Path

import llama_cpp
import pytest

from runtime.config import load
from runtime.engine import tuning
from runtime.engine.settings import EngineSettings
from runtime.machine import processors
from runtime.models.memory_need import memory_need
from runtime.models.selection import read_model
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


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_all_cores_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    """To generate and to read prompts; fewer generate while other processes are busy."""
    monkeypatch.setattr(processors, "usable_cores", lambda: cores)
    found = settings(tmp_path)
    assert (found.n_threads, found.n_threads_batch) == (cores, cores)
    assert found.adjusts_threads


def test_threads_that_are_set_win(tmp_path: Path) -> None:
    """A number for tokens holds for prompts too, unless those have their own."""
    both = settings(tmp_path, LLAMA_SERVER_N_THREADS="3")
    each = settings(tmp_path, LLAMA_SERVER_N_THREADS="3", LLAMA_SERVER_N_THREADS_BATCH="5")
    assert (both.n_threads, both.n_threads_batch) == (3, 3)
    assert (each.n_threads, each.n_threads_batch) == (3, 5)
    assert not both.adjusts_threads
    assert not each.adjusts_threads


def test_a_context_that_memory_has_no_room_for_is_made_smaller(tmp_path: Path) -> None:
    """It fits then; an explicit one stays, and below what is of use it does not go."""
    model = read_model(build_model(tmp_path / "model.gguf", context_length=8192))
    config = load(tmp_path, {"LLAMA_SERVER_CACHE_BYTES": "1000000"})
    whole = memory_need(model.shape, n_ctx=8192, cache_bytes=1_000_000).total_bytes
    half = memory_need(model.shape, n_ctx=4096, cache_bytes=1_000_000).total_bytes

    assert EngineSettings.from_config(config, model, whole).n_ctx == 8192
    assert EngineSettings.from_config(config, model, half).n_ctx == 4096
    assert EngineSettings.from_config(config, model, 1).n_ctx == tuning.MIN_CONTEXT
    explicit = load(tmp_path, {"LLAMA_SERVER_N_CTX": "8192"})
    assert EngineSettings.from_config(explicit, model, half).n_ctx == 8192


def test_slots_are_as_many_as_fit_before_the_context_is_made_smaller(tmp_path: Path) -> None:
    """Eight where memory is there, fewer where it is not, and one with a smaller context in the end."""
    model = read_model(build_model(tmp_path / "model.gguf", context_length=8192))
    config = load(tmp_path, {"LLAMA_SERVER_CACHE_BYTES": "1000000"})

    def with_room_for(n_slots: int, *, less: int = 0) -> tuple[int, int]:
        need = memory_need(model.shape, n_ctx=8192, n_slots=n_slots, cache_bytes=1_000_000)
        found = EngineSettings.from_config(config, model, need.total_bytes - less)
        return found.n_slots, found.n_ctx

    assert [with_room_for(number) for number in (20, 8, 3, 1)] == [
        (number, 8192) for number in (8, 8, 3, 1)
    ]
    assert with_room_for(8, less=1) == (7, 8192)
    n_slots, n_ctx = with_room_for(1, less=1)
    assert n_slots == 1
    assert tuning.MIN_CONTEXT <= n_ctx < 8192


def test_without_a_gpu_in_the_build_no_layer_goes_there(tmp_path: Path) -> None:
    """All do where llama.cpp was built for one; a number that is set wins."""
    assert settings(tmp_path).n_gpu_layers == (-1 if llama_cpp.llama_supports_gpu_offload() else 0)
    assert settings(tmp_path, LLAMA_SERVER_N_GPU_LAYERS="7").n_gpu_layers == 7
