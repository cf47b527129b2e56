"""The calls of one model: its syntax, and what a request's offer adds to a generation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from runtime.engine import errors
from runtime.engine.api.schemas import Function
from runtime.engine.api.tools.grammar import CallGrammar, Content, GrammarTooLongError
from runtime.engine.api.tools.offer import Offer
from runtime.engine.api.tools.parser import CallParser
from runtime.engine.api.tools.schemas import Schema, arguments, object_schema
from runtime.engine.api.tools.syntax import JsonStyle, Syntax
from runtime.engine.api.tools.table import GENERIC, recognised
from runtime.engine.grammar.constraint import Constraints, Grammar
from runtime.engine.grammar.exact_forms import in_exact_forms
from runtime.engine.grammar.forms import check_forms, is_well_formed
from runtime.engine.grammar.sources import MAX_GRAMMAR_CHARACTERS, check_depth
from runtime.engine.vocabulary import Vocabulary

Message = dict[str, Any]

_OBJECT: Schema = {"type": "object"}
RELAXING_S = 4.0
"""Time for finding out what of the functions' schemas can be compiled: others wait for the compiler."""

_INSTRUCTIONS = """\
Functions you may call:
{tools}
To call a function, write:
<tool_call>
{{"name": "NAME", "arguments": {{"KEY": "VALUE"}}}}
</tool_call>"""


class Calls:
    """The calls of one model.

    Args:
        template: the source of its chat template.
        renders_tools: whether the template describes tools.
        vocabulary, constraints: of the model.
    """

    def __init__(
        self, template: str, *, renders_tools: bool, vocabulary: Vocabulary, constraints: Constraints
    ) -> None:
        native = recognised(template) if renders_tools else None
        self.syntax: Syntax = native or GENERIC
        self.is_native = native is not None
        """Whether the template describes tools itself, in a syntax that is known here."""
        self._vocabulary = vocabulary
        self._constraints = constraints
        self.shown = vocabulary.shown(self.syntax.texts())
        """The texts of the control tokens that the syntax is made of."""

    def described(self, messages: Sequence[Message], tools: Sequence[Any]) -> list[Message]:
        """The messages with a description of the tools, for a template that does not describe them."""
        lines = "\n".join(orjson.dumps(tool).decode() for tool in tools)
        text = _INSTRUCTIONS.format(tools=lines)
        first, *others = messages
        if first["role"] not in ("system", "developer"):
            return [{"role": "system", "content": text}, *messages]
        content = first.get("content") or ""
        if isinstance(content, str):
            content = f"{content}\n\n{text}"
        else:
            content = [*content, {"type": "text", "text": text}]
        return [{**first, "content": content}, *others]

    def grammar(self, offer: Offer, *, content: Content | None = None) -> Grammar:
        """The grammar of the calls.

        Args:
            offer: the functions.
            content: what the response may be in place of calls.

        Raises:
            Refusal: a schema is nested too deep or malformed; strict ones are too large together.
        """
        characters = strict_characters = 0
        for function in offer.functions:
            check_depth(function.parameters, offer.param)
            size = len(json.dumps(function.parameters))
            characters += size
            strict_characters += size if function.strict else 0
        if strict_characters > MAX_GRAMMAR_CHARACTERS:
            raise _too_large(offer)
        schemas = [object_schema(one.parameters) for one in offer.functions]

        def relax() -> Grammar:
            return self._relaxed(offer, schemas, content)

        if characters > MAX_GRAMMAR_CHARACTERS:
            return self._constraints.unwritten(param=offer.param, relax=relax)
        exact = [in_exact_forms(one) for one in schemas]
        for schema, function in zip(exact, offer.functions, strict=True):
            if function.strict or offer.is_named:  # of others any objects are taken
                check_forms(schema, offer.param, (function.name,))
            if function.strict and not isinstance(self.syntax.style, JsonStyle):
                _check_names_arguments(function, offer.param)
        return self._written(offer, exact, content, relax=relax)

    def _written(
        self,
        offer: Offer,
        schemas: Sequence[Schema],
        content: Content | None,
        *,
        relax: Callable[[], Grammar] | None,
    ) -> Grammar:
        try:
            text = CallGrammar(self.syntax, self._vocabulary).lark(offer, schemas, content=content)
        except GrammarTooLongError:
            if relax is None:
                raise _too_large(offer) from None
            return self._constraints.unwritten(param=offer.param, relax=relax)
        return self._constraints.lark(text, param=offer.param, relax=relax)

    def _relaxed(self, offer: Offer, schemas: Sequence[Schema], content: Content | None) -> Grammar:
        """The grammar with what can be compiled of each schema. Compiles each."""
        if content is not None:
            schema = self._constraints.enforceable(
                content.schema, param=content.param, strict=content.is_strict
            )
            content = replace(content, schema=schema)
        kept, left = list[Schema](), MAX_GRAMMAR_CHARACTERS // 2
        deadline = time.monotonic() + RELAXING_S
        for schema, function in zip(schemas, offer.functions, strict=True):
            size, is_late = len(json.dumps(schema)), time.monotonic() > deadline
            if function.strict and is_late:
                raise errors.invalid(
                    offer.param, f"{offer.param}: the strict schemas take too long to compile."
                )
            if not function.strict and (is_late or size > left or not is_well_formed(schema)):
                kept.append(_OBJECT)
                continue
            left -= size
            found = self._constraints.enforceable(
                schema, param=offer.param, strict=function.strict, path=(function.name,)
            )
            may_be_open = not (function.strict or offer.is_named)
            if may_be_open and not self._constraints.is_enforceable(found, param=offer.param):
                found = _OBJECT  # its reference leads nowhere: the others keep their schemas
            kept.append(found)
        relax = None if offer.is_named else lambda: self._open(offer, kept, content)
        return self._written(offer, kept, content, relax=relax)

    def _open(self, offer: Offer, schemas: Sequence[Schema], content: Content | None) -> Grammar:
        """The grammar with any objects as arguments, except of strict functions."""
        kept = [
            schema if function.strict else _OBJECT
            for schema, function in zip(schemas, offer.functions, strict=True)
        ]
        return self._written(offer, kept, content, relax=None)

    def triggers(self, offer: Offer) -> dict[str, list[int]]:
        """The texts with which calls begin, and their tokens."""
        texts = self.syntax.triggers_for(function.name for function in offer.functions)
        return {text: self._vocabulary.mark(text) for text in texts}

    def parser(self, offer: Offer) -> CallParser:
        """A parser for the calls of one response."""
        return CallParser(self.syntax, offer.functions)


def _check_names_arguments(function: Function, param: str) -> None:
    """Refuse a strict function that names no arguments, for a syntax that writes them one by one."""
    if arguments(function.parameters) is None:
        raise errors.invalid(
            param,
            f"{param}: {function.name} cannot be enforced: this model's calls need a schema of the type "
            "object with properties. Send it without strict.",
            code="invalid_grammar",
        )


def _too_large(offer: Offer) -> errors.Refusal:
    return errors.invalid(
        offer.param,
        f"{offer.param}: the schemas must have at most {MAX_GRAMMAR_CHARACTERS} characters together.",
    )
