"""One Jinja chat template, compiled in a sandbox.

The environment is the one that templates are written for: that of Hugging Face's transformers, see
https://huggingface.co/docs/transformers/chat_templating. A template comes with the model, but what it
renders comes from strangers: it can read what it is given and nothing else.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, Never, Protocol

import jinja2
import jinja2.meta
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment
from llama_cpp.llama_chat_format import CHATML_CHAT_TEMPLATE

Message = dict[str, Any]

RESERVED = frozenset(
    "messages tools tool_choice functions function_call bos_token eos_token raise_exception "
    "strftime_now add_generation_prompt".split()
)
"""What the template is always given; a request's `chat_template_kwargs` cannot replace it."""
_WITHOUT_TOOLS: tuple[dict[str, Any], ...] = (
    {"tools": None, "functions": None},
    {"tools": [], "functions": None},  # of templates that are made for chats with tools only
    {"tools": None, "functions": "[]", "datetime": ""},  # of those that want both as texts
)
"""What templates are given if no tools are offered; the first with which a template renders is used."""
_CHANGES = re.compile(r"\.(append|clear|extend|insert|pop|remove|update)\(")
_REASON_CHARACTERS = 200
_FORM = "they have a form that it does not expect"


class RenderError(Exception):
    """The template refuses the messages. The text says why."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a template is given beside the messages."""

    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | None = None
    add_generation_prompt: bool = True
    variables: Mapping[str, Any] = field(default_factory=dict)
    """A request's `chat_template_kwargs`; none of them is in `RESERVED`."""


class Renderer(Protocol):
    """Makes a prompt's text of messages: a Jinja template, or a named format."""

    source: str
    """The template's text; empty for a named format."""
    add_special: bool
    """Whether the vocabulary's own marks are put round the text: templates write theirs."""
    variables: frozenset[str]
    """The names that the template reads and that are not in `RESERVED`."""
    literals: frozenset[str]
    """The texts that the template writes, and others that stand in it."""

    def render(self, messages: Sequence[Message], context: Context) -> str:
        """The text.

        Raises:
            RenderError: the template does not take these messages.
        """


class JinjaTemplate:
    """A compiled template.

    Args:
        source: the template's text.
        bos_token, eos_token: texts of the vocabulary's own marks, empty where it has none.

    Raises:
        jinja2.TemplateError: it does not compile.
    """

    def __init__(self, source: str, *, bos_token: str, eos_token: str) -> None:
        self.source = source
        # As the stock server does it for this one template.
        self.add_special = source == CHATML_CHAT_TEMPLATE
        # Some templates change lists of their own, which transformers' sandbox forbids.
        self._changes_lists = _CHANGES.search(source) is not None
        kind = SandboxedEnvironment if self._changes_lists else ImmutableSandboxedEnvironment
        environment = kind(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        environment.filters["tojson"] = _to_json
        self._template = environment.from_string(source)
        parsed = environment.parse(source)
        data = (node.data for node in parsed.find_all(nodes.TemplateData))
        values = (node.value for node in parsed.find_all(nodes.Const))
        self.literals = frozenset(text for text in chain(data, values) if isinstance(text, str))
        # Last: it puts lists in place of the texts in them.
        self.variables = frozenset(jinja2.meta.find_undeclared_variables(parsed) - RESERVED)
        self._given = {
            "bos_token": bos_token,
            "eos_token": eos_token,
            "raise_exception": _raise_exception,
            "strftime_now": lambda form: datetime.now().strftime(form),
        }

        self._without_tools = next(filter(self._renders_with, _WITHOUT_TOOLS), _WITHOUT_TOOLS[0])

    def render(self, messages: Sequence[Message], context: Context) -> str:
        if self._changes_lists:
            messages, context = copy.deepcopy((messages, context))
        given = {**context.variables, **self._given, **self._tools(context)}
        given |= {
            "messages": messages,
            "tool_choice": context.tool_choice,
            "function_call": None,
            "add_generation_prompt": context.add_generation_prompt,
        }
        try:
            return self._template.render(given)
        except (jinja2.TemplateError, ValueError) as error:
            raise RenderError(" ".join(str(error).split())[:_REASON_CHARACTERS] or _FORM) from error
        except (TypeError, LookupError, AttributeError, RecursionError, ArithmeticError) as error:
            # From within the template's own arithmetic; the text would not help.
            raise RenderError(_FORM) from error

    def _tools(self, context: Context) -> dict[str, Any]:
        if not context.tools:
            return self._without_tools
        if self._without_tools["functions"] is None:
            return {"tools": list(context.tools), "functions": None}
        functions = [tool.get("function") for tool in context.tools]
        return {**self._without_tools, "functions": _to_json(functions, indent=4)}

    def _renders_with(self, given: dict[str, Any]) -> bool:
        self._without_tools = given
        try:
            self.render([{"role": "user", "content": "Hello"}], Context())
        except RenderError:
            return False
        return True


class _Generation(Extension):
    """The blocks `{% generation %}`, with which templates mark what training counts: their content."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as transformers writes it: jinja2's own filter escapes characters of HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_listed,
    )


def _listed(value: Any) -> list[Any]:
    """What the filter `map` makes, as a list."""
    if isinstance(value, Iterator):
        return list(value)
    raise TypeError


def _raise_exception(message: str) -> Never:
    raise jinja2.TemplateError(message)
