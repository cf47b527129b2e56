"""Syntaxes in which each argument of a call stands between tags."""

from __future__ import annotations

from runtime.engine.api.tools.syntax import ARGUMENTS, NAME, Syntax, TaggedStyle


def _dsml(name: str, block: str) -> Syntax:
    """DeepSeek's markup language: a tag says whether its value is a text.

    Args:
        name: of the syntax.
        block: the tag around all calls.
    """
    return Syntax(
        name=name,
        marks=("｜DSML｜", f"{block}>"),
        opening=f"<｜DSML｜{block}>\n",
        call=('<｜DSML｜invoke name="', NAME, '">\n', ARGUMENTS, "</｜DSML｜invoke>\n"),
        closing=f"</｜DSML｜{block}>",
        triggers=(f"<｜DSML｜{block}>",),
        style=TaggedStyle(
            before_key='<｜DSML｜parameter name="',
            after_key='" string="true">',
            after_json_key='" string="false">',
            after_value="</｜DSML｜parameter>\n",
        ),
    )


TAGGED = (
    _dsml("deepseek-v3.2", "function_calls"),
    _dsml("deepseek-v4", "tool_calls"),
    Syntax(
        name="minimax-m2",
        marks=("<minimax:tool_call>", "<invoke name="),
        opening="<minimax:tool_call>\n",
        call=('<invoke name="', NAME, '">\n', ARGUMENTS, "</invoke>\n"),
        closing="</minimax:tool_call>",
        triggers=("<minimax:tool_call>",),
        style=TaggedStyle(before_key='<parameter name="', after_key='">', after_value="</parameter>\n"),
    ),
    Syntax(
        name="seed-oss",
        marks=("<seed:tool_call>", "<function="),
        call=("<seed:tool_call>\n<function=", NAME, ">\n", ARGUMENTS, "</function>\n</seed:tool_call>"),
        between="\n",
        triggers=("<seed:tool_call>",),
        style=TaggedStyle("<parameter=", ">", "</parameter>\n"),
    ),
    Syntax(
        name="hunyuan-3",
        marks=("':opensource'", "<tool_calls{}>", "<arg_key{}>"),
        opening="<tool_calls:opensource>\n",
        call=(
            "<tool_call:opensource>",
            NAME,
            "<tool_sep:opensource>\n",
            ARGUMENTS,
            "</tool_call:opensource>\n",
        ),
        closing="</tool_calls:opensource>",
        triggers=("<tool_calls:opensource>",),
        style=TaggedStyle(
            before_key="<arg_key:opensource>",
            after_key="</arg_key:opensource>\n<arg_value:opensource>",
            after_value="</arg_value:opensource>\n",
        ),
    ),
    Syntax(
        name="minicpm-5",
        marks=('<function name="', '<param name="'),
        call=('<function name="', NAME, '">', ARGUMENTS, "</function>"),
        between="\n",
        triggers=('<function name="',),
        style=TaggedStyle('<param name="', '">', "</param>", escape=("<![CDATA[", "]]>")),
    ),
    Syntax(
        name="glm-4.5",
        marks=("<tool_call>", "<arg_key>", "</arg_key>\n"),
        call=("<tool_call>", NAME, "\n", ARGUMENTS, "</tool_call>"),
        between="\n",
        triggers=("<tool_call>",),
        style=TaggedStyle("<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>\n"),
    ),
    Syntax(
        name="glm-4.7",
        marks=("<tool_call>", "<arg_key>", "<arg_value>"),
        call=("<tool_call>", NAME, ARGUMENTS, "</tool_call>"),
        triggers=("<tool_call>",),
        style=TaggedStyle("<arg_key>", "</arg_key><arg_value>", "</arg_value>"),
    ),
    Syntax(
        name="qwen3-coder",
        marks=("<tool_call>", "<function=", "<parameter="),
        call=("<tool_call>\n<function=", NAME, ">\n", ARGUMENTS, "</function>\n</tool_call>"),
        between="\n",
        triggers=("<tool_call>",),
        style=TaggedStyle("<parameter=", ">\n", "\n</parameter>\n"),
    ),
)
"""More particular marks stand before others."""
