"""A GGUF model that does as it is told, so that whole conversations of agents can be tested.

Its next token depends on the last one only. The chat template ends the prompt with a token that says
what is due: a call of a tool that the client offers, or, after the result, a text. The template shows
only the ends of long messages and the names of tools, since every letter is a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from numpy.typing import NDArray

from tests.support.gguf import add_vocabulary

ANSWER = "All went well."
_WIDTH = 768
"""More than there are tokens: each has a channel of its own."""
_HEADS = 12
_SCALE = 60.0
"""The logit of the token that is due."""
_NEVER = -60.0
_LIKELY = {'"': 5.0, "}": 2.0}
"""Logits that keep texts short where a schema leaves them open."""
_OPENING = "<tool_call>"
_TEMPLATE = """\
{%- for tool in tools or [] -%}
{{ tool.function.name }}: {{ (tool.function.description or "")[:40] }}
{% endfor -%}
{%- for message in messages %}{{ message.role }}: {{ (message.content or "")[-200:] }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}
{% endfor -%}
{%- set state = namespace(due="<|say|>") -%}
{%- set last = messages[-1] -%}
{%- set has_result = last.role == "tool" or "Observation" in (last.content or "") -%}
{%- for tool in tools or [] -%}
CALLS
{%- endfor -%}
{%- if add_generation_prompt %}{{ state.due }}{% endif -%}
"""
_CALL = """\
{%- if tool.function.name == "NAME" and (has_result == LAST) -%}
{%- set state.due = "<|call-NAME|>" -%}{%- endif -%}"""
_FINAL = ("final_answer", "final_result")
"""Tools by which frameworks have their result returned: called after another one's result."""


def build(path: Path, calls: Mapping[str, object]) -> Path:
    """Write the model.

    Args:
        path: where it goes.
        calls: the arguments with which each tool is called, by the tool's name; ten at most. Texts, and
            the first one's name is in no other call: no token stands in two scripts.
    """
    tokens, types, following = _script(calls)
    writer = GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name(path.stem)
    writer.add_context_length(32_768)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    add_vocabulary(writer, tokens, [int(kind) for kind in types])
    writer.add_add_space_prefix(False)  # so that a text in parts has the same tokens as the whole
    writer.add_chat_template(_template(calls))
    for name, weights in _weights(tokens, types, following).items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _template(calls: Mapping[str, object]) -> str:
    cases = [
        _CALL.replace("NAME", name).replace("LAST", "true" if name in _FINAL else "false")
        for name in calls
    ]
    return _TEMPLATE.replace("CALLS", "\n".join(cases))


def _script(calls: Mapping[str, object]) -> tuple[list[str], list[TokenType], dict[str, str]]:
    """Tokens, their types, and the token that follows each."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [TokenType.UNKNOWN, *[TokenType.CONTROL] * 2, *[TokenType.BYTE] * 256]
    controls = ["<|say|>", *(f"<|call-{name}|>" for name in calls)]
    answer, closing = ANSWER.replace(" ", "▁"), "\n</tool_call>"
    normal = ["▁", *(chr(code) for code in range(0x21, 0x7F)), answer]
    defined = [closing]  # so that texts are split into them; a grammar allows no other tokens
    following = {"<|say|>": answer, answer: "</s>", closing: "</s>"}
    for number, (name, arguments) in enumerate(calls.items(), start=2):
        # The same text, cut in another place for each tool: no token stands in two scripts.
        first, second = _OPENING[:number], _OPENING[number:]
        head = f'\n{{"name": "{name}", "arguments": '
        key, value = json.dumps(arguments).split(': "', 1)
        script = [f"<|call-{name}|>", first, second, head, f'{key}: "', f"{value}}}", closing]
        defined += script[1:-1]
        following |= dict(pairwise(script))
    tokens += [*normal, *defined, *controls]
    types += [TokenType.NORMAL] * len(normal) + [TokenType.USER_DEFINED] * len(defined)
    types += [TokenType.CONTROL] * len(controls)
    return tokens, types, following


def _weights(
    tokens: list[str], types: list[TokenType], following: Mapping[str, str]
) -> dict[str, NDArray[np.float32]]:
    """A token leads to its follower by its channel. The first channel, which all have, is a bias."""
    n_tokens = len(tokens)
    assert n_tokens < _WIDTH
    embedding = np.zeros((n_tokens, _WIDTH), dtype=np.float32)
    embedding[:, 0] = 1
    embedding[np.arange(n_tokens), np.arange(n_tokens) + 1] = 1
    normed = np.sqrt(_WIDTH / 2)  # what the norm makes of the ones
    output = np.zeros((n_tokens, _WIDTH), dtype=np.float32)
    numbers = {token: number for number, token in enumerate(tokens)}
    for number, (token, kind) in enumerate(zip(tokens, types, strict=True)):
        bias = _LIKELY.get(token, 0.0) if kind == TokenType.NORMAL else _NEVER
        output[number, 0] = bias / normed
    for token, then in following.items():
        output[numbers[then], numbers[token] + 1] = (_SCALE - _NEVER) / normed

    def zeros(rows: int, columns: int) -> NDArray[np.float32]:
        return np.zeros((rows, columns), dtype=np.float32)

    ones, head = np.ones(_WIDTH, dtype=np.float32), _WIDTH // _HEADS
    return {
        "token_embd.weight": embedding,
        "output_norm.weight": ones,
        "output.weight": output,
        "blk.0.attn_norm.weight": ones,
        "blk.0.ffn_norm.weight": ones,
        "blk.0.attn_q.weight": zeros(_WIDTH, _WIDTH),
        "blk.0.attn_k.weight": zeros(head, _WIDTH),
        "blk.0.attn_v.weight": zeros(head, _WIDTH),
        "blk.0.attn_output.weight": zeros(_WIDTH, _WIDTH),
        "blk.0.ffn_gate.weight": zeros(32, _WIDTH),
        "blk.0.ffn_up.weight": zeros(32, _WIDTH),
        "blk.0.ffn_down.weight": zeros(_WIDTH, 32),
    }
