"""Syntaxes in which a call's arguments are keyword arguments."""

from __future__ import annotations

from dataclasses import replace

from runtime.engine.api.tools.syntax import ARGUMENTS, NAME, KeywordStyle, Syntax

_LFM2 = Syntax(
    name="lfm2",
    marks=("<|tool_list_start|>",),
    opening="<|tool_call_start|>[",
    call=(NAME, "(", ARGUMENTS, ")"),
    between=", ",
    closing="]<|tool_call_end|>",
    triggers=("<|tool_call_start|>",),
    style=KeywordStyle(),
)
LFM2 = (
    _LFM2,
    replace(_LFM2, name="lfm2.5", marks=("<|tool_call_start|>",)),
    replace(_LFM2, name="lfm2.5-instruct", marks=("List of tools: [",)),
)
"""One syntax, in templates that tell it differently."""

KEYWORDS = (
    Syntax(
        name="gemma-4",
        marks=("<|tool_call>call:", '<|"|>'),
        call=("<|tool_call>call:", NAME, "{", ARGUMENTS, "}<tool_call|>"),
        triggers=("<|tool_call>",),
        style=KeywordStyle(assignment=":", separator=",", quote='<|"|>', has_python_words=False),
    ),
    Syntax(
        name="llama-4",
        marks=("[func_name1(params_name1=",),
        opening="[",
        call=(NAME, "(", ARGUMENTS, ")"),
        between=", ",
        closing="]",
        triggers=("[NAME(",),
        starts_only=True,
        style=KeywordStyle(),
    ),
)
"""The others. What is nested within an argument is written as JSON."""
