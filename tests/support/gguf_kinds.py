"""Small GGUF models of other kinds than llama's: with recurrent layers, with sliding windows, and with
positions in several dimensions.

Their weights are random and so is what they say. They share the vocabulary of `gguf.py`'s models.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from numpy.typing import NDArray

from tests.support.gguf import CHAT_TEMPLATE, _vocabulary, add_vocabulary

LAYERS, WIDTH = 2, 64
Tensor = NDArray[np.float32]


def build_mamba(path: Path) -> Path:
    """Write a model of mamba's architecture: a state for each layer, no keys and values."""
    inner, state, kernel, rank = 2 * WIDTH, 16, 4, 8
    writer = _begun(path, "mamba")
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    random = np.random.default_rng(1)
    for number in range(LAYERS):
        layer = {
            "attn_norm.weight": np.ones(WIDTH, dtype=np.float32),
            "ssm_in.weight": _matrix(random, 2 * inner, WIDTH),
            "ssm_conv1d.weight": _matrix(random, inner, kernel),
            "ssm_conv1d.bias": np.zeros(inner, dtype=np.float32),
            "ssm_x.weight": _matrix(random, rank + 2 * state, inner),
            "ssm_dt.weight": _matrix(random, inner, rank),
            "ssm_dt.bias": np.full(inner, 0.5, dtype=np.float32),
            "ssm_a": -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1)),
            "ssm_d": np.ones(inner, dtype=np.float32),
            "ssm_out.weight": _matrix(random, WIDTH, inner),
        }
        _add(writer, number, layer)
    return _ended(writer, path, random)


def build_gemma(path: Path, *, window: int = 64) -> Path:
    """Write a model of gemma 3's architecture, whose layers see the last `window` tokens only."""
    heads, length, feed_forward = 4, 16, 128
    writer = _begun(path, "gemma3")
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_key_length(length)
    writer.add_value_length(length)
    writer.add_sliding_window(window)
    writer.add_rope_freq_base(10_000.0)
    random = np.random.default_rng(2)
    norms = "attn_norm post_attention_norm ffn_norm post_ffw_norm".split()
    for number in range(LAYERS):
        layer = {f"{name}.weight": np.ones(WIDTH, dtype=np.float32) for name in norms}
        layer |= {
            "attn_q_norm.weight": np.ones(length, dtype=np.float32),
            "attn_k_norm.weight": np.ones(length, dtype=np.float32),
            **{f"attn_{name}.weight": _matrix(random, heads * length, WIDTH) for name in "qkv"},
            "attn_output.weight": _matrix(random, WIDTH, heads * length),
            "ffn_gate.weight": _matrix(random, feed_forward, WIDTH),
            "ffn_up.weight": _matrix(random, feed_forward, WIDTH),
            "ffn_down.weight": _matrix(random, WIDTH, feed_forward),
        }
        _add(writer, number, layer)
    return _ended(writer, path, random)


def build_qwen2vl(path: Path) -> Path:
    """Write a model of Qwen2-VL's architecture: its positions have several dimensions (M-RoPE)."""
    heads, feed_forward = 4, 128
    writer = _begun(path, "qwen2vl")
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_sections([2, 3, 3, 0])
    random = np.random.default_rng(3)
    for number in range(LAYERS):
        layer = {
            f"{name}.weight": np.ones(WIDTH, dtype=np.float32) for name in ("attn_norm", "ffn_norm")
        }
        layer |= {
            **{f"attn_{name}.weight": _matrix(random, WIDTH, WIDTH) for name in "qkv"},
            **{f"attn_{name}.bias": np.zeros(WIDTH, dtype=np.float32) for name in "qkv"},
            "attn_output.weight": _matrix(random, WIDTH, WIDTH),
            "ffn_gate.weight": _matrix(random, feed_forward, WIDTH),
            "ffn_up.weight": _matrix(random, feed_forward, WIDTH),
            "ffn_down.weight": _matrix(random, WIDTH, feed_forward),
        }
        _add(writer, number, layer)
    return _ended(writer, path, random)


def _begun(path: Path, architecture: str) -> GGUFWriter:
    tokens, types = _vocabulary()
    writer = GGUFWriter(path, architecture)
    writer.add_type("model")
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_layer_norm_rms_eps(1e-5)
    add_vocabulary(writer, tokens, types)
    writer.add_chat_template(CHAT_TEMPLATE)
    return writer


def _add(writer: GGUFWriter, number: int, layer: dict[str, Tensor]) -> None:
    for name, weights in layer.items():
        writer.add_tensor(f"blk.{number}.{name}", weights)


def _ended(writer: GGUFWriter, path: Path, random: np.random.Generator) -> Path:
    tokens, _ = _vocabulary()
    writer.add_tensor("token_embd.weight", _matrix(random, len(tokens), WIDTH) * np.float32(8))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    writer.add_tensor("output.weight", _matrix(random, len(tokens), WIDTH) * np.float32(4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _matrix(random: np.random.Generator, rows: int, columns: int) -> Tensor:
    values = random.standard_normal((rows, columns), dtype=np.float32)
    return np.divide(values, np.sqrt(columns, dtype=np.float32))
