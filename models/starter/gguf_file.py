"""The file: tokenizer, chat template and weights in GGUF's form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType, TokenType, quants
from numpy.typing import NDArray

from models.starter.network import Shape

CONTROLS = ("<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
BEGIN, END, SYSTEM, USER, ASSISTANT = range(len(CONTROLS))
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] | trim }}<|end|>"
    "{% elif message['role'] == 'system' %}<|system|>{{ message['content'] | trim }}"
    "{% else %}<|user|>{{ message['content'] | trim }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPLITTING = "viking"
"""llama.cpp's name for splitting at blanks and stops and between digits, so that a path is one word."""
QUANTIZATION = GGMLQuantizationType.Q8_0


def write(
    path: Path,
    shape: Shape,
    tokens: list[str],
    merges: list[str],
    weights: Mapping[str, NDArray[np.float32]] | None = None,
) -> Path:
    """Write the model; without weights only its tokenizer, to be loaded with `vocab_only`.

    Matrices are quantized, norms stay as they are. The embedding serves as output too.
    """
    writer = GGUFWriter(path, "llama")
    _add_shape(writer, shape)
    _add_tokenizer(writer, tokens, merges)
    for name, values in (weights or {}).items():
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, quants.quantize(values, QUANTIZATION), raw_dtype=QUANTIZATION)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    if weights is None:
        writer.write_ti_data_to_file()
    else:
        writer.write_tensors_to_file()
    writer.close()
    return path


def _add_shape(writer: GGUFWriter, shape: Shape) -> None:
    writer.add_type("model")
    writer.add_name("Llamaserve starter")
    writer.add_description(
        "A small model that shows that Llamaserve works, and answers questions about it"
    )
    writer.add_license("mit")
    writer.add_languages(["en"])
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)


def _add_tokenizer(writer: GGUFWriter, tokens: list[str], merges: list[str]) -> None:
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(SPLITTING)
    writer.add_token_list(tokens)
    kinds = [TokenType.CONTROL if token in CONTROLS else TokenType.NORMAL for token in tokens]
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(True)
    writer.add_chat_template(CHAT_TEMPLATE)


def read(path: Path) -> tuple[list[str], list[str], dict[str, NDArray[np.float32]]]:
    """The tokens, merges and weights of a file that `write` has written."""
    reader = GGUFReader(path)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    merges = reader.fields["tokenizer.ggml.merges"].contents()
    weights = {
        tensor.name: np.array(quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        for tensor in reader.tensors
    }
    return tokens, merges, weights
