"""A GGUF model that does as it is told, so that whole conversations of agents can be tested.

The chat template writes what is due at the end of the prompt: a call of a tool that the client offers,
or, after the result, a text; and fills up to a fixed length. The model's attention copies the token that
stands this far back. Every letter is a token, so this works wherever a grammar forces tokens. Where a
grammar forbids the token that is due, quotes and braces come that end what is open.

The template shows only the ends of long messages and the names of tools, since every letter is a token.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from numpy.typing import NDArray

from tests.support.gguf import add_vocabulary

ANSWER = "All went well."
_WIDTH = 384
"""More than there are tokens: each has a channel of its own, and the first one is a constant."""
_HEADS = 6
_COPIED = 100.0
"""How much larger the copied token's channel is than the others."""
_SHARPNESS = 20.0
"""Of queries and keys. The neighbours of the token that is looked at weigh e^-50 of it."""
_SCALE = 60.0
"""The logit of the token that is due."""
_NEVER = -60.0
_LIKELY = {'"': 9.0, "}": 7.0, "]": 8.0}
"""Logits that keep texts short where a schema leaves them open."""
_ROPE_BASE = 10_000.0
_TEMPLATE = """\
{%- set state = namespace(due=ANSWER, has_result=false) -%}
{%- for tool in tools or [] -%}
{{ tool.function.name }}: {{ (tool.function.description or "")[:40] }}
{% endfor -%}
{%- for message in messages %}{{ message.role }}: {{ (message.content or "")[-200:] }}
{%- if message.role == "tool" %}{% set state.has_result = true %}{% endif %}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}
{% endfor -%}
{%- if "Observation" in (messages[-1].content or "") %}{% set state.has_result = true %}{% endif -%}
{%- set calls = AFTER if state.has_result else BEFORE -%}
{%- for tool in tools or [] if tool.function.name in calls -%}
{%- set state.due = calls[tool.function.name] -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ state.due }}
{%- for _ in range(LENGTH - state.due | length) %}</s>{% endfor %}{% endif -%}
"""
_FINAL = ("final_answer", "final_result")
"""Tools by which frameworks have their result returned: called after another one's result."""


def build(path: Path, calls: Mapping[str, object]) -> Path:
    """Write the model.

    Args:
        path: where it goes.
        calls: the arguments with which each tool is called, by the tool's name. Plain ASCII.
    """
    scripts = {name: _call(name, arguments) for name, arguments in calls.items()}
    length = max(map(len, (ANSWER, *scripts.values()))) + 1
    tokens, types = _vocabulary()
    writer = GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name(path.stem)
    writer.add_context_length(32_768)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_rope_freq_base(_ROPE_BASE)
    writer.add_layer_norm_rms_eps(1e-5)
    add_vocabulary(writer, tokens, [int(kind) for kind in types])
    writer.add_add_space_prefix(False)  # so that a text in parts has the same tokens as the whole
    writer.add_chat_template(_template(scripts, length))
    for name, weights in _weights(tokens, types, distance=length - 1).items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _call(name: str, arguments: object) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'


def _template(scripts: Mapping[str, str], length: int) -> str:
    before = {name: script for name, script in scripts.items() if name not in _FINAL}
    after = {name: script for name, script in scripts.items() if name in _FINAL}
    values = {"ANSWER": ANSWER, "BEFORE": before, "AFTER": after, "LENGTH": length}
    template = _TEMPLATE
    for name, value in values.items():
        template = template.replace(name, json.dumps(value))
    return template


def _vocabulary() -> tuple[list[str], list[TokenType]]:
    """Tokens and their types: of ASCII each letter is one."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [TokenType.UNKNOWN, *[TokenType.CONTROL] * 2, *[TokenType.BYTE] * 256]
    letters = ["▁", *(chr(code) for code in range(0x21, 0x7F))]
    return tokens + letters, types + [TokenType.NORMAL] * len(letters)


def _weights(tokens: list[str], types: list[TokenType], distance: int) -> dict[str, NDArray[np.float32]]:
    """Embeddings mark their token's channel; attention adds the copied token's, which decides."""
    n_tokens = len(tokens)
    assert n_tokens < _WIDTH
    embedding = np.zeros((n_tokens, _WIDTH), dtype=np.float32)
    embedding[:, 0] = 1
    embedding[np.arange(n_tokens), np.arange(n_tokens) + 1] = 1
    # What the norms make of the ones: before the attention, and after it.
    normed, decided = math.sqrt(_WIDTH / 2), math.sqrt(_WIDTH / (2 + _COPIED**2))
    output = np.zeros((n_tokens, _WIDTH), dtype=np.float32)
    for number, (token, kind) in enumerate(zip(tokens, types, strict=True)):
        bias = _LIKELY.get(token, 0.0) if kind == TokenType.NORMAL else _NEVER
        output[number, 0] = bias / decided
        output[number, number + 1] = (_SCALE - _NEVER) / (_COPIED * decided)
    query, key = _looking_back(distance)
    copied = np.eye(_WIDTH, dtype=np.float32)
    copied[0, 0] = 0
    ones = np.ones(_WIDTH, dtype=np.float32)
    return {
        "token_embd.weight": embedding,
        "output_norm.weight": ones,
        "output.weight": output,
        "blk.0.attn_norm.weight": ones,
        "blk.0.ffn_norm.weight": ones,
        "blk.0.attn_q.weight": query / normed,
        "blk.0.attn_k.weight": key / normed,
        "blk.0.attn_v.weight": copied,
        "blk.0.attn_output.weight": copied * (_COPIED / normed),
        "blk.0.ffn_gate.weight": np.zeros((32, _WIDTH), dtype=np.float32),
        "blk.0.ffn_up.weight": np.zeros((32, _WIDTH), dtype=np.float32),
        "blk.0.ffn_down.weight": np.zeros((_WIDTH, 32), dtype=np.float32),
    }


def _looking_back(distance: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Queries and keys, the same in all heads, of the constant.

    Positions turn both (RoPE). Keys are turned further by `distance`, so that they agree with the query
    that stands so many tokens later.
    """
    size = _WIDTH // _HEADS
    angles = distance * _ROPE_BASE ** (-np.arange(0, size, 2) / size)
    query = np.zeros((_WIDTH, _WIDTH), dtype=np.float32)
    key = np.zeros_like(query)
    query[0::2, 0] = _SHARPNESS
    key[0::2, 0] = _SHARPNESS * np.tile(np.cos(angles), _HEADS)
    key[1::2, 0] = _SHARPNESS * np.tile(np.sin(angles), _HEADS)
    return query, key
