"""The network in PyTorch, with the tensors' names and the rotation of llama.cpp's llama architecture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How large the network is. Widths are multiples of 32, for the quantization."""

    vocabulary: int
    width: int = 192
    layers: int = 4
    heads: int = 6
    feed_forward: int = 512
    context: int = 2048
    """In tokens."""
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def initial(shape: Shape, seed: int) -> dict[str, Tensor]:
    """The weights before the training."""
    random = torch.Generator().manual_seed(seed)

    def matrix(rows: int, columns: int, scale: float = 1.0) -> Tensor:
        return torch.randn(rows, columns, generator=random) * (scale * columns**-0.5)

    into_residual = (2 * shape.layers) ** -0.5
    weights = {
        "token_embd.weight": torch.randn(shape.vocabulary, shape.width, generator=random) * 0.02,
        "output_norm.weight": torch.ones(shape.width),
    }
    for layer in range(shape.layers):
        weights |= {
            f"blk.{layer}.{name}.weight": value
            for name, value in {
                "attn_norm": torch.ones(shape.width),
                "attn_q": matrix(shape.width, shape.width),
                "attn_k": matrix(shape.width, shape.width),
                "attn_v": matrix(shape.width, shape.width),
                "attn_output": matrix(shape.width, shape.width, into_residual),
                "ffn_norm": torch.ones(shape.width),
                "ffn_gate": matrix(shape.feed_forward, shape.width),
                "ffn_up": matrix(shape.feed_forward, shape.width),
                "ffn_down": matrix(shape.width, shape.feed_forward, into_residual),
            }.items()
        }
    return weights


def rotation(shape: Shape, length: int) -> Tensor:
    """How far each pair of channels turns at each position, complex: (length, 1, head_width / 2)."""
    pairs = torch.arange(0, shape.head_width, 2) / shape.head_width
    angles = torch.arange(length)[:, None, None] * shape.rope_base**-pairs
    return torch.polar(torch.ones_like(angles), angles)


def _rotated(heads: Tensor, turn: Tensor) -> Tensor:
    """Neighbouring channels are the pairs that turn."""
    pairs = torch.view_as_complex(heads.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn).flatten(-2).to(heads.dtype)


def hidden(weights: dict[str, Tensor], shape: Shape, tokens: Tensor) -> Tensor:
    """What the last layer says, normed: (batch, length) of tokens to (batch, length, width).

    In the weights' own precision, but for the rotation.
    """
    batch, length = tokens.shape
    turn = rotation(shape, length)
    state = F.embedding(tokens, weights["token_embd.weight"])
    for layer in range(shape.layers):
        w = {name: weights[f"blk.{layer}.{name}.weight"] for name in _NAMES}
        normed = F.rms_norm(state, (shape.width,), w["attn_norm"], shape.epsilon)
        together = F.linear(normed, torch.cat((w["attn_q"], w["attn_k"], w["attn_v"])))
        heads = together.view(batch, length, 3 * shape.heads, shape.head_width)
        turned = _rotated(heads[:, :, : 2 * shape.heads], turn).transpose(1, 2)
        queries, keys = turned.split(shape.heads, dim=1)
        values = heads[:, :, 2 * shape.heads :].transpose(1, 2)
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        state = state + F.linear(mixed.transpose(1, 2).reshape(batch, length, -1), w["attn_output"])
        normed = F.rms_norm(state, (shape.width,), w["ffn_norm"], shape.epsilon)
        gated = F.silu(F.linear(normed, w["ffn_gate"])) * F.linear(normed, w["ffn_up"])
        state = state + F.linear(gated, w["ffn_down"])
    return F.rms_norm(state, (shape.width,), weights["output_norm.weight"], shape.epsilon)


_NAMES = "attn_norm attn_q attn_k attn_v attn_output ffn_norm ffn_gate ffn_up ffn_down".split()
