"""The grammar of calls, in llguidance's Lark: a name that is offered, and arguments by its schema.

https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.engine.api.schemas import Function
from runtime.engine.api.tools.offer import Offer
from runtime.engine.api.tools.schemas import Argument, Schema, arguments, other_argument
from runtime.engine.api.tools.syntax import ARGUMENTS, Hole, KeywordStyle, Pattern, Syntax, TaggedStyle
from runtime.engine.grammar.sources import MAX_GRAMMAR_CHARACTERS
from runtime.engine.vocabulary import Vocabulary

_NOTHING = '""'
_ANY_TEXT = r"(.|\n)*"
_SPACES = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}
"""As the templates write JSON (Jinja's `tojson`)."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """The JSON that a response may be in place of calls."""

    schema: Schema
    is_strict: bool
    param: str
    """The request's field that it came in."""


class GrammarTooLongError(Exception):
    """The schemas make a grammar that is longer than one may be."""


class CallGrammar:
    """Writes the grammar of the calls that one request may have.

    Args:
        syntax: how they are written.
        vocabulary: tells which literal texts are special tokens.
    """

    def __init__(self, syntax: Syntax, vocabulary: Vocabulary) -> None:
        self._syntax = syntax
        self._vocabulary = vocabulary
        self._n_left = MAX_GRAMMAR_CHARACTERS

    def lark(self, offer: Offer, schemas: Sequence[Schema], *, content: Content | None = None) -> str:
        """Return the grammar of the calls.

        Args:
            offer: the functions.
            schemas: of their arguments, one for each function: their own, or what is left of them.
            content: what the response may be in place of calls.

        Raises:
            GrammarTooLongError: no more than a part of it has been written.
        """
        syntax, rules = self._syntax, list[str]()
        for number, (function, schema) in enumerate(zip(offer.functions, schemas, strict=True)):
            rules += self._function(number, function, schema)
        calls = ["call"]
        if offer.is_parallel and not syntax.is_single:
            calls.append(f"({self._sequence([syntax.between, 'call'], 'call')})*")
        start = [self._literal(syntax.opening), *calls, self._literal(syntax.closing)]
        if syntax.optional:
            start.insert(0, f"({self._literal(syntax.optional)})?")
        names = " | ".join(f"function_{number}" for number in range(len(offer.functions)))
        before = self._parts(syntax.before_name)
        after = self._parts(syntax.after_arguments)
        head = [f"start: {_joined(start)}", f"call: {_joined([before, f'({names})', after])}"]
        if content is not None:
            term = self._counted(_json_term(content.schema, is_strict=content.is_strict))
            head[0] = f"start: calls | {term}\ncalls: {_joined(start)}"
        if self._vocabulary.adds_blanks:
            # llguidance would demand the tokenizer's own tokens where only one text is possible.
            head.insert(0, '%llguidance {"no_forcing": true}')
        return "\n".join((*head, *rules)) + "\n"

    def _sequence(self, parts: Sequence[str], rule: str) -> str:
        return _joined(part if part == rule else self._literal(part) for part in parts)

    def _function(self, number: int, function: Function, schema: Schema) -> list[str]:
        between = self._parts(self._syntax.after_name)
        name = json.dumps(function.name)
        head = f"function_{number}: {_joined([name, between, f'arguments_{number}'])}"
        return [head, *self._arguments(number, function, schema)]

    def _arguments(self, number: int, function: Function, schema: Schema) -> list[str]:
        style, rule = self._syntax.style, f"arguments_{number}"
        if isinstance(style, TaggedStyle):
            return self._tagged(rule, style, _known(function, schema), function)
        if isinstance(style, KeywordStyle):
            return self._keywords(rule, style, _known(function, schema) or [], function)
        return [f"{rule}: {self._json(schema, function)}"]

    def _json(self, schema: Schema, function: Function) -> str:
        return self._counted(_json_term(schema, is_strict=function.strict))

    def _counted(self, text: str) -> str:
        self._n_left -= len(text)
        if self._n_left < 0:
            raise GrammarTooLongError
        return text

    def _tagged(
        self, rule: str, style: TaggedStyle, known: list[Argument] | None, function: Function
    ) -> list[str]:
        before = self._literal(style.before_key)
        texts = self._any_text(rule, style)
        if known is None:  # a schema that does not say which arguments there are
            other = other_argument(function.parameters)
            value = self._tagged_value(rule, style, other, function)
            any_one = _joined([before, "/[a-zA-Z0-9_-]{1,64}/", value])
            return [f"{rule}: ({any_one})*", *texts]
        rules, members = [], []
        for number, one in enumerate(known):
            value = self._tagged_value(rule, style, one, function)
            key = json.dumps(one.key, ensure_ascii=False)
            rules.append(f"{rule}_{number}: {_joined([before, key, value])}")
            members.append(f"{rule}_{number}" + ("" if one.is_required else "?"))
        return [f"{rule}: {_joined(members) or _NOTHING}", *rules, *texts]

    def _tagged_value(
        self, rule: str, style: TaggedStyle, argument: Argument | None, function: Function
    ) -> str:
        """A value with what stands around it; of an argument that is not known, any text."""
        after, end = self._literal(style.after_key), self._literal(style.after_value)
        after_json = self._literal(style.after_json_key) or after
        if argument is None:
            return _joined([after, f"{rule}_any"])
        if argument.texts is None:
            value = _joined([after_json, self._json(argument.complete_schema(), function), end])
        elif argument.texts:
            value = _joined([after, self._choices(argument.texts), end])
        else:
            value = _joined([after, f"{rule}_any"])
        return f'({value} | {after_json} "null" {end})' if argument.may_be_null else value

    def _any_text(self, rule: str, style: TaggedStyle) -> list[str]:
        """Rules of any text with the tag at its end: `{rule}_any`."""
        end, escape = style.after_value, style.escape
        if escape is None:
            text, rest = self._text_until(end)
            return [f"{rule}_any: {_joined([f'{rule}_text', rest])}", f"{rule}_text{text}"]
        # A text that may be mistaken for an escaped one has to be one.
        text, rest = self._text_until(end, f"([^{re.escape(escape[0][0])}](.|\\n)*)?")
        escaped, rest_of_escaped = self._text_until(escape[1] + end)
        plainly = _joined([f"{rule}_text", rest])
        in_escape = _joined([self._literal(escape[0]), f"{rule}_escaped", rest_of_escaped])
        return [
            f"{rule}_any: {plainly} | {in_escape}",
            f"{rule}_text{text}",
            f"{rule}_escaped{escaped}",
        ]

    def _choices(self, texts: Sequence[str]) -> str:
        choices = [json.dumps(text, ensure_ascii=False) for text in texts]
        return self._counted(f"({' | '.join(choices)})")

    def _keywords(
        self, rule: str, style: KeywordStyle, known: list[Argument], function: Function
    ) -> list[str]:
        """Keyword arguments, in the schema's order."""
        rules = []
        separator = json.dumps(style.separator)
        if style.quote:
            text, rest = self._text_until(style.quote)
            rules += [f"{rule}_text{text}", f"{rule}_quoted: {_joined([f'{rule}_text', rest])}"]
        for number, one in enumerate(known):
            key = json.dumps(one.key + style.assignment, ensure_ascii=False)
            value = self._keyword_value(f"{rule}_quoted", style, one, function)
            rules.append(f"{rule}_{number}: {_joined([key, value])}")
        # A rule for what may follow from each argument on, with and without a comma before it.
        rules += [f'{rule}_first_{len(known)}: ""', f'{rule}_rest_{len(known)}: ""']
        for number, one in enumerate(known):
            following = f"{rule}_rest_{number + 1}"
            skip_first = "" if one.is_required else f" | {rule}_first_{number + 1}"
            skip_rest = "" if one.is_required else f" | {following}"
            rules.append(f"{rule}_first_{number}: {rule}_{number} {following}{skip_first}")
            rules.append(f"{rule}_rest_{number}: {separator} {rule}_{number} {following}{skip_rest}")
        return [f"{rule}: {rule}_first_0", *rules]

    def _keyword_value(
        self, quoted: str, style: KeywordStyle, argument: Argument, function: Function
    ) -> str:
        """A value; `quoted` is the rule of the rest of a text in the style's own quotes."""
        texts, null = argument.texts, '"None"' if style.has_python_words else '"null"'
        if style.has_python_words and argument.is_any_boolean:
            return '("True" | "False")'
        if texts is None or not (style.quote or argument.may_be_null):
            return self._json(argument.complete_schema(), function)
        if style.quote:
            quote = self._literal(style.quote)
            value = _joined([quote, *([self._choices(texts), quote] if texts else [quoted])])
        else:
            value = self._json({"type": "string", **({"enum": list(texts)} if texts else {})}, function)
        return f"({value} | {null})" if argument.may_be_null else value

    def _text_until(self, end: str, expression: str = _ANY_TEXT) -> tuple[str, str]:
        """The rest of a rule for text that ends with the first part of `end`, and the other parts."""
        first, *others = self._vocabulary.parts(end)
        if isinstance(first, int) and self._vocabulary.is_opaque(first):
            return f": /{expression}/ <[{first}]>", self._terms(others)
        text = first if isinstance(first, str) else self._vocabulary.special_text(first).decode()
        suffix = json.dumps(text, ensure_ascii=False)
        return f"[suffix={suffix}]: /{expression}/", self._terms(others)

    def _parts(self, parts: Sequence[str | Hole | Pattern]) -> str:
        terms = []
        for part in parts:
            if isinstance(part, Pattern):
                terms.append(f"/{part.expression}/")
            elif isinstance(part, str):
                terms.append(self._literal(part))
        assert ARGUMENTS not in parts
        return _joined(terms)

    def _literal(self, text: str) -> str:
        """A text as terms, in which special tokens stand by their ids."""
        return self._terms(self._vocabulary.parts(text))

    def _terms(self, parts: Iterable[int | str]) -> str:
        terms = []
        for part in parts:
            if isinstance(part, str):
                terms.append(json.dumps(part, ensure_ascii=False))
            elif self._vocabulary.is_opaque(part):
                terms.append(f"<[{part}]>")
            else:
                text = self._vocabulary.special_text(part).decode("utf-8", "replace")
                terms.append(json.dumps(text, ensure_ascii=False))
        return _joined(terms)


def _known(function: Function, schema: Schema) -> list[Argument] | None:
    """A function's arguments, with what is left of their schemas.

    Whether one is a text is told by the function's own schema, as the parser does.
    """
    known = arguments(function.parameters)
    if known is None:
        return None
    left = {one.key: one for one in arguments(schema) or ()}
    return [one.with_schema_of(left.get(one.key)) for one in known]


def _json_term(schema: Schema, *, is_strict: bool) -> str:
    """A term for JSON that a schema allows; if `is_strict`, it must be one that can be enforced."""
    options: dict[str, Any] = {**_SPACES, "lenient": not is_strict}
    return "%json " + json.dumps({**schema, "x-guidance": options})


def _joined(terms: Iterable[str]) -> str:
    return " ".join(term for term in terms if term)
