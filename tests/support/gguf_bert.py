"""GGUF models of BERT's architecture for embeddings and reranking, and what they compute, in numpy.

The weights are random unless they are given. `Bert.rows` is the reference: the same network, written
down from the paper (Devlin et al., 2018), without llama.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erf
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, PoolingType, TokenType
from numpy.typing import NDArray

Tensor = NDArray[np.float32]

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("the", "cat", "dog", "sat", "ran", "on", "mat", "moon", "is", "red", "blue", "tea")
ENDINGS = ("##s", "##ing", "##ed")
VOCABULARY = (*SPECIALS, *WORDS, *ENDINGS, *"abcdefghijklmnopqrstuvwxyz0123456789.,!?")


@dataclass(frozen=True, kw_only=True)
class Bert:
    """The weights of a model, by llama.cpp's names, and its shape."""

    weights: Mapping[str, Tensor]
    vocabulary: Sequence[str]
    """As in BERT's vocab.txt; its first entries are the special tokens."""
    layers: int
    heads: int
    context_length: int
    epsilon: float = 1e-12
    pooling: PoolingType = PoolingType.MEAN

    def rows(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """What the model gives for each sequence of tokens: the pooled vector, or the score."""
        return np.stack([self._row(list(tokens)) for tokens in sequences])

    def _row(self, tokens: list[int]) -> Tensor:
        x = (
            self.weights["token_embd.weight"][tokens]
            + self.weights["position_embd.weight"][: len(tokens)]
        )
        x = self._norm(x + self.weights["token_types.weight"][0], "token_embd_norm")
        for number in range(self.layers):
            x = self._layer(x, f"blk.{number}.")
        if self.pooling == PoolingType.MEAN:
            return np.asarray(x.mean(axis=0))
        if self.pooling == PoolingType.RANK:
            return self._linear(np.tanh(self._linear(x[0], "cls")), "cls.output")
        return np.asarray(x[0])

    def _layer(self, x: Tensor, name: str) -> Tensor:
        width = x.shape[1] // self.heads
        q, k, v = (
            self._linear(x, f"{name}attn_{one}").reshape(len(x), self.heads, width).swapaxes(0, 1)
            for one in "qkv"
        )
        scores = q @ k.swapaxes(1, 2) / np.sqrt(width, dtype=np.float32)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        seen = (weights @ v).swapaxes(0, 1).reshape(x.shape)
        x = self._norm(x + self._linear(seen, f"{name}attn_output"), f"{name}attn_output_norm")
        hidden = _gelu(self._linear(x, f"{name}ffn_up"))
        return self._norm(x + self._linear(hidden, f"{name}ffn_down"), f"{name}layer_output_norm")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.epsilon)
        return np.asarray(scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"])

    def write(self, path: Path, *, rerank_template: str = "") -> Path:
        """Write the model's GGUF file, with a template for reranking if it has one; return its path."""
        width = self.weights["token_embd.weight"].shape[1]
        writer = GGUFWriter(path, "bert")
        writer.add_type("model")
        writer.add_name(path.stem)
        writer.add_context_length(self.context_length)
        writer.add_embedding_length(width)
        writer.add_block_count(self.layers)
        writer.add_feed_forward_length(self.weights["blk.0.ffn_up.weight"].shape[0])
        writer.add_head_count(self.heads)
        writer.add_layer_norm_eps(self.epsilon)
        writer.add_causal_attention(False)
        writer.add_pooling_type(self.pooling)
        _add_vocabulary(writer, self.vocabulary)
        if rerank_template:
            writer.add_string("tokenizer.chat_template.rerank", rerank_template)
        for name, tensor in self.weights.items():
            writer.add_tensor(name, np.ascontiguousarray(tensor, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def random_bert(
    *,
    pooling: PoolingType = PoolingType.MEAN,
    layers: int = 2,
    width: int = 64,
    context_length: int = 128,
) -> Bert:
    """A small model with random weights; one that ranks has a classifier."""
    random = np.random.default_rng(5)
    feed_forward = 2 * width

    def matrix(rows: int, columns: int) -> Tensor:
        values = random.standard_normal((rows, columns), dtype=np.float32)
        return np.divide(values, np.sqrt(columns, dtype=np.float32))

    weights: dict[str, Tensor] = {
        "token_embd.weight": matrix(len(VOCABULARY), width),
        "position_embd.weight": matrix(context_length, width) * np.float32(0.3),
        "token_types.weight": matrix(2, width),
    }
    shapes = {f"attn_{one}": (width, width) for one in ("q", "k", "v", "output")}
    shapes |= {"ffn_up": (feed_forward, width), "ffn_down": (width, feed_forward)}
    for number in range(layers):
        for name, (rows, columns) in shapes.items():
            weights[f"blk.{number}.{name}.weight"] = matrix(rows, columns)
    if pooling == PoolingType.RANK:
        weights |= {"cls.weight": matrix(width, width), "cls.output.weight": matrix(1, width)}
    for name, tensor in list(weights.items()):
        if name.startswith(("blk", "cls")):
            bias = random.standard_normal(tensor.shape[0], dtype=np.float32)
            weights[name.replace("weight", "bias")] = np.multiply(bias, np.float32(0.1))
    norms = ["token_embd_norm"]
    norms += [
        f"blk.{number}.{one}_norm" for number in range(layers) for one in ("attn_output", "layer_output")
    ]
    for name in norms:
        weights[f"{name}.weight"] = np.ones(width, dtype=np.float32)
        weights[f"{name}.bias"] = np.zeros(width, dtype=np.float32)
    return Bert(
        weights=weights,
        vocabulary=VOCABULARY,
        layers=layers,
        heads=4,
        context_length=context_length,
        pooling=pooling,
    )


def token_ids(words: Sequence[str], vocabulary: Sequence[str] = VOCABULARY) -> list[int]:
    """The tokens of a text of whole words, with the marks round it."""
    return [vocabulary.index(word) for word in ("[CLS]", *words, "[SEP]")]


def _add_vocabulary(writer: GGUFWriter, vocabulary: Sequence[str]) -> None:
    """Write a WordPiece vocabulary: llama.cpp marks beginnings of words, BERT continuations."""
    is_special = [token.startswith("[") and token.endswith("]") for token in vocabulary]
    tokens = [
        token if special else token[2:] if token.startswith("##") else f"▁{token}"
        for token, special in zip(vocabulary, is_special, strict=True)
    ]
    types = [TokenType.CONTROL if special else TokenType.NORMAL for special in is_special]
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types([int(kind) for kind in types])
    find = list(vocabulary).index
    writer.add_pad_token_id(find("[PAD]"))
    writer.add_unk_token_id(find("[UNK]"))
    writer.add_bos_token_id(find("[CLS]"))
    writer.add_eos_token_id(find("[SEP]"))
    writer.add_sep_token_id(find("[SEP]"))
    writer.add_mask_token_id(find("[MASK]"))


def _gelu(x: Tensor) -> Tensor:
    return np.asarray(x * 0.5 * (1 + np.vectorize(erf, otypes=[np.float32])(x / np.sqrt(2))))
