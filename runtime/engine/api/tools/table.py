"""The syntaxes in which models write calls, as in the chat templates that their authors publish.

The first entry whose marks are all in a template counts: more particular marks stand before others.
"""

from __future__ import annotations

from runtime.engine.api.tools import syntax as parts
from runtime.engine.api.tools.keyword_syntaxes import KEYWORDS, LFM2
from runtime.engine.api.tools.syntax import ARGUMENTS, NAME, Syntax
from runtime.engine.api.tools.tagged_syntaxes import TAGGED

_NAMED_JSON = ('{"name": "', NAME, '", "arguments": ', ARGUMENTS, "}")
_OTHERS = ("]<]minimax[>[",)
"""Marks of syntaxes that are not in the table, though they look like one that is: MiniMax M3."""

HERMES = Syntax(
    name="hermes",
    marks=("<tool_call>", '"name"'),
    call=("<tool_call>\n", *_NAMED_JSON, "\n</tool_call>"),
    between="\n",
    triggers=("<tool_call>",),
)
"""Hermes, Qwen 2.5 and 3, Granite 4, SmolLM 3 and many others."""

GENERIC = HERMES
"""For templates that know no tools, or whose syntax is not in the table: described in the prompt."""

SYNTAXES = (
    Syntax(
        name="harmony",
        marks=("<|channel|>", "<|call|>", "<|start|>assistant"),
        optional="<|start|>assistant",
        call=(
            "<|channel|>commentary to=functions.",
            NAME,
            " <|constrain|>json<|message|>",
            ARGUMENTS,
        ),
        triggers=("<|channel|>commentary to=",),
        is_single=True,
        dropped=(
            "<|start|>assistant",
            "<|channel|>final<|message|>",
            "<|channel|>commentary<|message|>",
            "<|end|>",
        ),
    ),
    Syntax(
        name="deepseek-v3.1",
        marks=("<｜tool▁call▁begin｜>'+ tool['function']['name'] + '<｜tool▁sep｜>",),
        opening="<｜tool▁calls▁begin｜>",
        call=("<｜tool▁call▁begin｜>", NAME, "<｜tool▁sep｜>", ARGUMENTS, "<｜tool▁call▁end｜>"),
        closing="<｜tool▁calls▁end｜>",
        triggers=("<｜tool▁calls▁begin｜>",),
    ),
    Syntax(
        name="deepseek",
        marks=("<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>"),
        opening="<｜tool▁calls▁begin｜>",
        call=(
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
            NAME,
            "\n```json\n",
            ARGUMENTS,
            "\n```<｜tool▁call▁end｜>",
        ),
        between="\n",
        closing="<｜tool▁calls▁end｜>",
        triggers=("<｜tool▁calls▁begin｜>",),
    ),
    Syntax(
        name="kimi-k2",
        marks=("<|tool_calls_section_begin|>", "<|tool_call_argument_begin|>"),
        opening="<|tool_calls_section_begin|>",
        call=(
            "<|tool_call_begin|>functions.",
            NAME,
            ":",
            parts.Pattern("[0-9]{1,4}"),
            "<|tool_call_argument_begin|>",
            ARGUMENTS,
            "<|tool_call_end|>",
        ),
        closing="<|tool_calls_section_end|>",
        triggers=("<|tool_calls_section_begin|>",),
    ),
    *TAGGED,
    Syntax(
        name="mistral-with-ids",
        marks=("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"),
        call=("[TOOL_CALLS]", NAME, "[CALL_ID]", parts.Pattern("[a-zA-Z0-9]{9}"), "[ARGS]", ARGUMENTS),
        triggers=("[TOOL_CALLS]",),
    ),
    Syntax(
        name="mistral",
        marks=("[TOOL_CALLS]", "[ARGS]"),
        call=("[TOOL_CALLS]", NAME, "[ARGS]", ARGUMENTS),
        triggers=("[TOOL_CALLS]",),
    ),
    Syntax(
        name="gigachat-3.1",
        marks=("<|function_call|>", "<|role_sep|>"),
        call=("<|function_call|>", *_NAMED_JSON),
        triggers=("<|function_call|>",),
        is_single=True,
    ),
    Syntax(
        name="mistral-array",
        marks=("[TOOL_CALLS]",),
        opening="[TOOL_CALLS][",
        call=(*_NAMED_JSON[:-1], ', "id": "', parts.Pattern("[a-zA-Z0-9]{9}"), '"}'),
        between=", ",
        closing="]",
        triggers=("[TOOL_CALLS]",),
    ),
    Syntax(
        name="functionary-v3.2",
        marks=(">>>${recipient}",),
        call=(NAME, "\n", ARGUMENTS),
        between=">>>",
        triggers=("NAME\n",),
        starts_only=True,
        dropped_first=("all\n",),
    ),
    Syntax(
        name="functionary-v3.1",
        marks=("<function=", "</function>"),
        call=("<function=", NAME, ">", ARGUMENTS, "</function>"),
        triggers=("<function=",),
    ),
    Syntax(
        name="nemotron",
        marks=("<TOOLCALL>",),
        opening="<TOOLCALL>[",
        call=_NAMED_JSON,
        between=", ",
        closing="]</TOOLCALL>",
        triggers=("<TOOLCALL>",),
    ),
    Syntax(
        name="phi-4-mini",
        marks=("<|tool_call|>", "<|/tool_call|>"),
        opening="<|tool_call|>[",
        call=_NAMED_JSON,
        between=", ",
        closing="]<|/tool_call|>",
        triggers=("<|tool_call|>",),
    ),
    Syntax(
        name="granite-3",
        marks=("<|tool_call|>",),
        opening="<|tool_call|>[",
        call=_NAMED_JSON,
        between=", ",
        closing="]",
        triggers=("<|tool_call|>",),
    ),
    Syntax(
        name="functools",
        marks=("functools[",),
        opening="functools[",
        call=_NAMED_JSON,
        between=", ",
        closing="]",
        triggers=("functools",),
    ),
    Syntax(
        name="command-r7b",
        marks=("<|START_ACTION|>", "<|END_ACTION|>"),
        opening="<|START_ACTION|>[\n",
        call=(
            '    {"tool_call_id": "',
            parts.Pattern("[0-9]{1,4}"),
            '", "tool_name": "',
            NAME,
            '", "parameters": ',
            ARGUMENTS,
            "}",
        ),
        between=",\n",
        closing="\n]<|END_ACTION|>",
        triggers=("<|START_ACTION|>",),
        dropped=("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ),
    Syntax(
        name="command-r",
        marks=("Action:", "```json", "tool_name"),
        opening="Action: ```json\n[\n",
        call=(
            '    {\n        "tool_name": "',
            NAME,
            '",\n        "parameters": ',
            ARGUMENTS,
            "\n    }",
        ),
        between=",\n",
        closing="\n]```",
        triggers=("Action:",),
    ),
    Syntax(
        name="apertus",
        marks=("<|tools_prefix|>", "<|tools_suffix|>"),
        opening="<|tools_prefix|>[",
        call=('{"', NAME, '": ', ARGUMENTS, "}"),
        between=", ",
        closing="]<|tools_suffix|>",
        triggers=("<|tools_prefix|>",),
    ),
    *LFM2,
    Syntax(
        name="apriel",
        marks=("<tool_calls>[",),
        opening="<tool_calls>[",
        call=_NAMED_JSON,
        between=", ",
        closing="]</tool_calls>",
        triggers=("<tool_calls>",),
    ),
    Syntax(
        name="minimax-m1",
        marks=("<tool_calls>\n",),
        opening="<tool_calls>\n",
        call=(*_NAMED_JSON, "\n"),
        closing="</tool_calls>",
        triggers=("<tool_calls>",),
    ),
    HERMES,
    Syntax(
        name="smollm-3",
        marks=("<tool_call>",),
        call=HERMES.call,
        between=HERMES.between,
        triggers=HERMES.triggers,
    ),
    *KEYWORDS,
    Syntax(
        name="llama-3",
        marks=('"parameters": dictionary of argument name',),
        optional="<|python_tag|>",
        call=('{"name": "', NAME, '", "parameters": ', ARGUMENTS, "}"),
        triggers=('{"name":', "<|python_tag|>"),
        starts_only=True,
        is_single=True,
    ),
)


def recognised(template: str) -> Syntax | None:
    """The syntax of a chat template's calls; None where the template knows none of the table.

    Args:
        template: its source, in Jinja.
    """
    plain = template.replace("\\n", "\n").replace('\\"', '"').replace("\\'", "'")
    if any(mark in plain for mark in _OTHERS):
        return None
    return next((one for one in SYNTAXES if all(mark in plain for mark in one.marks)), None)
