"""Builds small projectors (mmproj) with random weights, over a vision transformer of a layer or two: of
llama.cpp's kind `mlp`, LLaVA's, for the models of `gguf.py`; and of Gemma 3's kind.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from numpy.typing import NDArray

from tests.support.gguf import TINY, Shape

N_CTX = 512
"""Tokens that hold three images of the size that the tests have."""
PATCH = 4
"""Pixels of a patch's side."""
_WIDTH, _HEADS, _FEED_FORWARD = 32, 2, 64


def skip_without_library() -> None:
    """Skip the test where llama.cpp was built without its library for images."""
    try:
        from llama_cpp import mtmd_cpp  # noqa: F401, PLC0415
    except (OSError, RuntimeError):
        pytest.skip("llama.cpp has no library for images here")


def build_projector(
    path: Path, *, shape: Shape = TINY, side: int = 16, seed: int = 1, is_gemma: bool = False
) -> Path:
    """Write a projector and return the path.

    Args:
        path: where it goes; its folder exists.
        shape: of the model that it is for.
        side: pixels of the square that it makes of an image; an image has (side / PATCH)² tokens, of
            Gemma's kind a quarter of that.
        seed: of the weights.
        is_gemma: whether it is of Gemma 3's kind.
    """
    writer = GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "gemma3" if is_gemma else "mlp")
    if is_gemma:
        writer.add_uint32("clip.vision.projector.scale_factor", 2)
    writer.add_bool("clip.use_gelu", True)
    for name, number in {
        "image_size": side,
        "patch_size": PATCH,
        "embedding_length": _WIDTH,
        "feed_forward_length": _FEED_FORWARD,
        "block_count": 2,  # LLaVA's kind leaves the last one out
        "projection_dim": shape.width,
        "attention.head_count": _HEADS,
    }.items():
        writer.add_uint32(f"clip.vision.{name}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    for name, weights in _weights(shape, (side // PATCH) ** 2, seed, is_gemma=is_gemma).items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _weights(
    shape: Shape, n_patches: int, seed: int, *, is_gemma: bool
) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        values = random.standard_normal((rows, columns), dtype=np.float32)
        return np.divide(values, np.sqrt(np.float32(columns)))

    width = _WIDTH
    # The models keep their first channel constant and large, see `gguf.py`: beside it, what an image
    # shows has to be large too.
    last = matrix(shape.width, shape.width) * np.float32(100)
    bias = np.zeros(shape.width, dtype=np.float32)
    last[0], bias[0] = 0, np.float32(100 * np.sqrt(shape.width))
    tensors = {
        "v.patch_embd.weight": random.standard_normal((width, 3, PATCH, PATCH), dtype=np.float32),
        "v.position_embd.weight": random.standard_normal((n_patches, width), dtype=np.float32),
    }
    if is_gemma:
        tensors["mm.input_projection.weight"] = matrix(width, shape.width)
        tensors["mm.soft_emb_norm.weight"] = np.ones(width, dtype=np.float32)
    else:
        tensors |= {"mm.0.weight": matrix(shape.width, width), "mm.2.weight": last, "mm.2.bias": bias}
        tensors["mm.0.bias"] = np.zeros(shape.width, dtype=np.float32)
    for number in range(2):
        layer = {
            **{f"{name}.weight": matrix(width, width) for name in ("attn_q", "attn_k", "attn_v")},
            "attn_out.weight": matrix(width, width),
            "ffn_up.weight": matrix(_FEED_FORWARD, width),
            "ffn_down.weight": matrix(width, _FEED_FORWARD),
        }
        for name in ("ln1", "ln2"):
            layer[f"{name}.weight"] = np.ones(width, dtype=np.float32)
            layer[f"{name}.bias"] = np.zeros(width, dtype=np.float32)
        tensors |= {f"v.blk.{number}.{name}": weights for name, weights in layer.items()}
    return tensors
