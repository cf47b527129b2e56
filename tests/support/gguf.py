"""Builds small GGUF models with random weights: no download, and loaded by the real engine in a moment.

They answer with random words, which is all the appliance's tests need of them. The weights are
arranged so that an answer is plain text and goes on for as long as is asked: control and byte tokens
(the end of the text too, unless it is wanted) are never drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import quantize
from numpy.typing import NDArray

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
UNKNOWN, BOS, EOS = 0, 1, 2
Weights = NDArray[np.float32] | NDArray[np.float16]
_NEVER = -40.0
"""A logit that no temperature in use brings back."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How large a model is. `width` is a multiple of 32."""

    layers: int
    width: int
    heads: int
    feed_forward: int


TINY = Shape(layers=2, width=64, heads=4, feed_forward=128)
"""Some 150,000 parameters: an answer of a hundred tokens takes a moment."""

SLOW = Shape(layers=128, width=64, heads=4, feed_forward=128)
"""For answers that last, so that a test can act while one is under way: some 100 tokens a
second. The many layers make it slow, not its size: the file has 11 MB. Give it one thread
(LLAMA_SERVER_N_THREADS=1): with more, they wait for each other at every layer, and on a busy machine
it takes ten times as long."""


def build_model(
    path: Path,
    *,
    shape: Shape = TINY,
    seed: int = 0,
    context_length: int = 4096,
    eos_logit: float = _NEVER,
    chat_template: str | Mapping[str, str] | None = CHAT_TEMPLATE,
    tensors_per_file: int = 0,
    extra_tokens: Sequence[str] = (),
    controls: Sequence[str] = (),
    user_defined: Sequence[str] = (),
    end: str | None = "</s>",
    quantized: bool = False,
) -> Path:
    """Write a model of llama's architecture and return the path.

    Args:
        path: where it goes; its folder exists.
        shape: how large, and so how slow.
        seed: of the weights; the same seed gives the same bytes.
        context_length: in tokens, the trained one that the file names.
        eos_logit: about 0 makes the end of the text as likely as any word.
        chat_template: None leaves it out; several have names, one of them "default".
        tensors_per_file: splits the model, as gguf-split does, when it is not 0. The first part's
            path is returned.
        extra_tokens: plain ones after the others. No text is ever split into them; they are drawn.
        controls, user_defined: further tokens of these kinds; they are never drawn.
        end: the token that the file names as the end of a text; None names none.
        quantized: the matrices are Q8_0, as those of models that people use are about.
    """
    tokens, types = _vocabulary(extra_tokens)
    tokens = [*tokens, *controls, *user_defined]
    types = [*types, *[int(TokenType.CONTROL)] * len(controls)]
    types += [int(TokenType.USER_DEFINED)] * len(user_defined)
    writer = GGUFWriter(path, "llama", split_max_tensors=tensors_per_file)
    writer.add_type("model")
    writer.add_name(path.stem)
    writer.add_context_length(context_length)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    add_vocabulary(writer, tokens, types, end=end)
    if isinstance(chat_template, str):
        writer.add_chat_template(chat_template)
    elif chat_template is not None:
        named = chat_template.items()
        writer.add_chat_template([{"name": name, "template": text} for name, text in named])
    for name, weights in _weights(shape, seed, _logits(types, eos_logit)).items():
        if quantized and weights.ndim > 1:
            packed = quantize(weights.astype(np.float32), GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, packed, raw_dtype=GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if not tensors_per_file:
        return path
    return next(path.parent.glob(f"{path.stem}-00001-of-*.gguf"))


def token_ids(extra_tokens: Sequence[str] = ()) -> dict[str, int]:
    """The id of each token of a model with these `extra_tokens`; a byte's token reads `<0x0A>`."""
    tokens, _ = _vocabulary(extra_tokens)
    return {token: number for number, token in enumerate(tokens)}


def add_vocabulary(
    writer: GGUFWriter, tokens: Sequence[str], types: Sequence[int], *, end: str | None = "</s>"
) -> None:
    """Write a SentencePiece vocabulary whose scores fall with the rank."""
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(rank) for rank in range(len(tokens))])
    writer.add_token_types(types)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BOS)
    if end is not None:
        writer.add_eos_token_id(tokens.index(end))


def _vocabulary(extra_tokens: Sequence[str] = ()) -> tuple[list[str], list[int]]:
    """Tokens and their types: three controls, 256 bytes, printable ASCII, and words of two syllables."""
    syllables = [a + b for a, b in product("bdklmnrst", "aeiou")]
    words = [f"▁{first}{second}" for first, second in product(syllables[::3], syllables[1::3])]
    printable = ["▁", *(chr(code) for code in range(0x21, 0x7F))]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [TokenType.UNKNOWN, *[TokenType.CONTROL] * 2, *[TokenType.BYTE] * 256]
    normal = [*printable, *words, *extra_tokens]
    types += [TokenType.NORMAL] * len(normal)
    return tokens + normal, [int(kind) for kind in types]


def _logits(types: list[int], eos_logit: float) -> NDArray[np.float32]:
    """What is added to each token's logit."""
    logits = np.where(np.array(types) == TokenType.NORMAL, 0.0, _NEVER).astype(np.float32)
    logits[EOS] = eos_logit
    return logits


def _weights(shape: Shape, seed: int, logits: NDArray[np.float32]) -> dict[str, Weights]:
    """All tensors. Every layer has the same ones: that is as slow, and quicker to make.

    The architecture has no bias on its logits. So the first of the `width` channels is kept constant:
    every token's embedding has the same large value in it and no layer writes to it. The final norm
    makes it about sqrt(width), and the output weights on it are the bias.
    """
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> NDArray[np.float16]:
        values = random.standard_normal((rows, columns), dtype=np.float32)
        return np.divide(values, np.sqrt(columns)).astype(np.float16)

    width, constant = shape.width, np.float32(100 * np.sqrt(shape.width))
    embedding = random.standard_normal((len(logits), width), dtype=np.float32)
    embedding[:, 0] = constant
    output = random.standard_normal((len(logits), width), dtype=np.float32)
    output[:, 0] = logits / np.sqrt(width)
    into_residual = {
        "attn_output": matrix(width, width) / np.float16(shape.layers),
        "ffn_down": matrix(width, shape.feed_forward) / np.float16(shape.layers),
    }
    for weights in into_residual.values():
        weights[0] = 0
    ones = np.ones(width, dtype=np.float32)
    layer: dict[str, Weights] = {
        "attn_norm": ones,
        "ffn_norm": ones,
        **{name: matrix(width, width) for name in ("attn_q", "attn_k", "attn_v")},
        **{name: matrix(shape.feed_forward, width) for name in ("ffn_gate", "ffn_up")},
        **into_residual,
    }
    return {
        "token_embd.weight": embedding,
        "output_norm.weight": ones,
        "output.weight": output,
        **{
            f"blk.{number}.{name}.weight": weights
            for number in range(shape.layers)
            for name, weights in layer.items()
        },
    }


def build_bpe_vocabulary(path: Path, *, splitting: str) -> Path:
    """Write a file that holds nothing but a small byte-level BPE vocabulary; to be loaded vocab_only.

    Args:
        path: where it goes.
        splitting: the name that llama.cpp has for the expression that splits texts, such as gpt-2.
    """
    # Bytes are written as in GPT-2: printable ones as they are, the others from U+0100 on.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    bytes_ = [chr(byte) for byte in printable] + [chr(0x100 + n) for n in range(len(others))]
    merges = ["a a", "aa aa", "7 7", "! !", "h e", "l l", "he ll"]
    tokens = [*bytes_, *(merge.replace(" ", "") for merge in merges), "<s>", "</s>"]
    types = [TokenType.NORMAL] * (len(tokens) - 2) + [TokenType.CONTROL] * 2
    writer = GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_context_length(512)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitting)
    writer.add_token_list(tokens)
    writer.add_token_types([int(kind) for kind in types])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(tokens) - 2)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return path


def truncate(path: Path, *, by: int) -> Path:
    """Cut the file's last bytes off, as a download that did not end would leave it."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - by)
    return path


def write_headers_only(path: Path, *, architecture: str = "llama", kind: str = "model") -> Path:
    """A whole GGUF file without weights: a vocabulary, or with other arguments some companion file."""
    writer = GGUFWriter(path, architecture)
    writer.add_type(kind)
    writer.add_token_list(_vocabulary()[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return path
