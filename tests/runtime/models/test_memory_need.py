"""The estimate of a model's memory, and the memory that a machine has for it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from gguf import GGUFWriter

from runtime.config import Config
from runtime.library import model_fit
from runtime.machine.memory import available_bytes, gpu_bytes
from runtime.models.gguf_header import read_header
from runtime.models.memory_need import (
    Shape,
    largest_context,
    memory_need,
    shape_of,
)
from tests.support.gguf import build_model, token_ids

GIB = 2**30


@pytest.fixture
def shape() -> Shape:
    """The shape of Qwen2.5-7B-Instruct in Q4_K_M."""
    return Shape(
        weights_bytes=4_683_073_952,
        context_length=32_768,
        vocabulary=152_064,
        heads=28,
        width=3584,
        feed_forward=18_944,
        kv_bytes_per_token=2 * (128 + 128) * 4 * 28,
        state_bytes=0,
    )


def test_the_cache_of_keys_and_values_holds_each_layer_s(shape: Shape) -> None:
    """28 layers of 4 KV heads, 128 + 128 values of two bytes: 448 MiB for 8,192 tokens."""
    assert memory_need(shape, n_ctx=8192).keys_and_values == 448 * 2**20


def test_a_shape_is_read_from_the_header(tmp_path: Path) -> None:
    """Two layers of four KV heads of 16 + 16 values, two bytes each; the tokens are counted."""
    path = build_model(tmp_path / "model.gguf", context_length=1024)
    shape = shape_of(read_header(path))
    assert (shape.kv_bytes_per_token, shape.context_length) == (2 * 4 * 32 * 2, 1024)
    assert (shape.heads, shape.width, shape.feed_forward) == (4, 64, 128)
    assert shape.vocabulary == len(token_ids())
    assert shape.weights_bytes == path.stat().st_size


def test_layers_may_differ(tmp_path: Path) -> None:
    """A hybrid model has KV heads for each layer; the states of recurrent layers are added."""
    path = tmp_path / "hybrid.gguf"
    writer = GGUFWriter(path, "hybrid")
    writer.add_block_count(4)
    writer.add_embedding_length(256)
    writer.add_head_count(8)
    writer.add_head_count_kv([0, 2, 0, 4])
    writer.add_ssm_inner_size(512)
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_state_size(16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    shape = shape_of(read_header(path))
    assert shape.kv_bytes_per_token == (2 + 4) * (32 + 32) * 2
    assert shape.state_bytes == 4 * 4 * (3 * 512 + 512 * 16)


def test_a_header_that_says_nothing_has_a_shape(tmp_path: Path) -> None:
    """Only the size of its weights is known."""
    path = tmp_path / "bare.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0" + b"\0" * 16)
    assert memory_need(shape_of(read_header(path)), n_ctx=512).weights == 24


def test_flash_attention_holds_no_scores(shape: Shape) -> None:
    """It needs less; and the need grows with the context, at least by the cache."""
    assert (
        memory_need(shape, n_ctx=32768, flash_attn=True).compute
        < memory_need(shape, n_ctx=32768).compute
    )
    small, large = (memory_need(shape, n_ctx=n).total_bytes for n in (8192, 8448))
    assert large - small >= 256 * shape.kv_bytes_per_token


def test_the_largest_context_is_the_most_that_fits(shape: Shape) -> None:
    """One step more does not fit; if all fits, it is the model's own context or the limit."""
    for room in (6 * GIB, 7 * GIB):
        n_ctx = largest_context(shape, room_bytes=room, n_ctx_limit=65536)
        assert 0 < n_ctx < 32768
        assert n_ctx % 256 == 0
        assert memory_need(shape, n_ctx=n_ctx).total_bytes <= room
        assert memory_need(shape, n_ctx=n_ctx + 256).total_bytes > room
    assert largest_context(shape, room_bytes=64 * GIB, n_ctx_limit=65536) == 32768
    assert largest_context(shape, room_bytes=64 * GIB, n_ctx_limit=8192) == 8192
    assert largest_context(shape, room_bytes=GIB, n_ctx_limit=8192) == 0
    unknown = replace(shape, context_length=0)
    assert largest_context(unknown, room_bytes=64 * GIB, n_ctx_limit=4096) == 4096


def test_saved_prompts_count(shape: Shape) -> None:
    """They reduce the context, and are kept in the machine's memory, not in the GPU's."""
    without, with_them = (memory_need(shape, n_ctx=8192, cache_bytes=n) for n in (0, GIB))
    assert with_them.total_bytes - without.total_bytes == GIB
    assert with_them.on_device_bytes == without.on_device_bytes


def group(folder: Path, *, limit: str, used: int, cache: int, version: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    limit_name, used_name = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        2: ("memory.max", "memory.current"),
    }[version]
    (folder / limit_name).write_text(f"{limit}\n")
    (folder / used_name).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\nactive_file 0\n")


@pytest.mark.parametrize(
    ("version", "line", "top"), [(2, "0::/a/b", ""), (1, "7:cpu,memory:/a/b", "memory")]
)
def test_the_tightest_control_group_counts(tmp_path: Path, version: int, line: str, top: str) -> None:
    """Also that of a parent; caches count as free; a group that is not visible here is ignored."""
    membership = tmp_path / "cgroup"
    membership.write_text(f"3:freezer:/\n{line}\n")
    base = tmp_path / "fs" / top
    unlimited = {1: str(2**63 - 4096), 2: "max"}[version]
    group(base / "a", limit=str(300_000), used=200_000, cache=50_000, version=version)
    group(base / "a" / "b", limit=unlimited, used=100_000, cache=0, version=version)
    assert available_bytes(tmp_path / "fs", membership) == 150_000
    group(base / "a" / "b", limit=str(120_000), used=100_000, cache=0, version=version)
    assert available_bytes(tmp_path / "fs", membership) == 20_000
    membership.write_text(line.replace("/a/b", "/a/hosts/own"))
    assert available_bytes(tmp_path / "fs", membership) == 150_000


def test_without_control_groups_it_is_the_machine_s(tmp_path: Path) -> None:
    """If there is no limit, or the system has no control groups."""
    assert available_bytes(tmp_path, tmp_path / "none") > 2**20


def test_free_gpu_memory_is_asked_of_nvidia_smi() -> None:
    """A line in MiB for each GPU; 0 if the command is missing, fails or prints something else."""
    assert gpu_bytes(("printf", "8000\\n4000\\n")) == 12_000 * 2**20
    for query in (("no-such-command-here",), ("false",), ("printf", "N/A")):
        assert gpu_bytes(query) == 0


def test_a_gpu_that_llama_cpp_cannot_use_gives_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a build for the processor alone, GPU memory does not count."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 80000\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert gpu_bytes() == 80_000 * 2**20
    config = Config(root=tmp_path, values={})
    assert model_fit.room(config).gpu == 0
    monkeypatch.setattr("runtime.engine.tuning.backends", lambda: ["cuda"])
    assert model_fit.room(config).gpu > 70_000 * 2**20
    alone = Config(root=tmp_path, values={"LLAMA_SERVER_N_GPU_LAYERS": "0"})
    assert model_fit.room(alone).gpu == 0
