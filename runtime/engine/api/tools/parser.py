"""Reads calls as they are generated: what is certain of a name or of arguments is told at once.

The text fits the grammar of the calls (`grammar.py`) but may be cut anywhere. Arguments come out as the
JSON of an object, whatever style the syntax writes them in.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from runtime.engine.api.schemas import Function
from runtime.engine.api.tools.schemas import Argument, arguments, other_argument
from runtime.engine.api.tools.syntax import ARGUMENTS, NAME, KeywordStyle, Pattern, Syntax, TaggedStyle
from runtime.engine.text import overlap

_NULL = "null"
_WORDS = {"True": "true", "False": "false", "None": "null"}


@dataclass(frozen=True)
class Named:
    """A call begins, of the function of this name."""

    name: str


@dataclass(frozen=True)
class Given:
    """Some of the JSON of the arguments of the call that has begun."""

    text: str


_Steps = Generator[None, None, None]
"""Reads on until it needs more text, which it says with each `yield`."""


class CallParser:
    """Reads the calls of one response.

    Args:
        syntax: how they are written.
        functions: those that may be called.
    """

    def __init__(self, syntax: Syntax, functions: Sequence[Function]) -> None:
        self._syntax = syntax
        self._functions = {function.name: function for function in functions}
        self._names = sorted(self._functions, key=len, reverse=True)
        self._text = ""
        self._read: list[Named | Given] = []
        self._steps: _Steps | None = self._all()

    def feed(self, text: str) -> list[Named | Given]:
        """Add text; returns what is now certain."""
        if self._steps is None:
            return []
        self._text += text
        try:
            next(self._steps)
        except StopIteration:
            self._steps = None
        read, self._read = self._read, []
        return read

    def _all(self) -> _Steps:
        syntax = self._syntax
        yield from self._skip_blanks()
        if syntax.optional:
            yield from self._option(syntax.optional)
        yield from self._literal(syntax.opening)
        yield from self._call()
        first = syntax.call[0] if isinstance(syntax.call[0], str) else ""
        while True:
            closing = syntax.closing
            while not self._text or (len(self._text) < len(closing) and closing.startswith(self._text)):
                yield
            if closing and self._text.startswith(closing):
                return
            yield from self._literal(syntax.between)
            if not (syntax.between or first):
                return
            yield from self._call()

    def _skip_blanks(self) -> _Steps:
        while not (text := self._text.lstrip()):
            yield
        self._text = text

    def _option(self, mark: str) -> Generator[None, None, bool]:
        """Skip a mark, if it comes; whether it did."""
        while len(self._text) < len(mark) and mark.startswith(self._text):
            yield
        is_there = self._text.startswith(mark)
        self._text = self._text.removeprefix(mark)
        return is_there

    def _literal(self, text: str) -> _Steps:
        while len(self._text) < len(text):
            yield
        self._text = self._text[len(text) :]

    def _call(self) -> _Steps:
        function: Function | None = None
        for number, part in enumerate(self._syntax.call):
            if isinstance(part, str):
                yield from self._literal(part)
            elif isinstance(part, Pattern):
                following = self._syntax.call[number + 1]
                assert isinstance(following, str)
                while (end := self._text.find(following)) < 0:
                    yield
                self._text = self._text[end:]
            elif part is NAME:
                function = yield from self._name()
            elif part is ARGUMENTS and function is not None:
                yield from self._arguments(function)

    def _name(self) -> Generator[None, None, Function]:
        ends = self._syntax.ends_of_name
        while True:
            for name in self._names:
                if self._text.startswith(tuple(name + end for end in ends)):
                    self._text = self._text[len(name) :]
                    self._read.append(Named(name))
                    return self._functions[name]
            yield

    def _arguments(self, function: Function) -> _Steps:
        style = self._syntax.style
        if isinstance(style, TaggedStyle):
            yield from self._tagged(style, function)
        elif isinstance(style, KeywordStyle):
            yield from self._keywords(style, function)
        else:
            yield from self._value()

    def _give(self, text: str) -> None:
        if text:
            self._read.append(Given(text))

    def _value(self) -> _Steps:
        """One JSON value, passed on as it comes."""
        depth, in_text, is_escaped = 0, False, False
        while not self._text:
            yield
        if self._text[0] not in '{["':
            yield from self._scalar()
            return
        while True:
            for at, character in enumerate(self._text):
                if is_escaped:
                    is_escaped = False
                elif in_text:
                    is_escaped = character == "\\"
                    in_text = character != '"'
                elif character == '"':
                    in_text = True
                elif character in "{[":
                    depth += 1
                elif character in "}]":
                    depth -= 1
                if depth == 0 and not in_text:
                    self._give(self._text[: at + 1])
                    self._text = self._text[at + 1 :]
                    return
            self._give(self._text)
            self._text = ""
            yield

    def _scalar(self) -> _Steps:
        """A number, true, false or null, or one of Python's words for these."""
        while True:
            for at, character in enumerate(self._text):
                if not (character.isalnum() or character in "+-."):
                    word = self._text[:at]
                    self._give(_WORDS.get(word, word))
                    self._text = self._text[at:]
                    return
            yield

    def _tagged(self, style: TaggedStyle, function: Function) -> _Steps:
        named = arguments(function.parameters)
        known = {one.key: one for one in named or ()}
        other = other_argument(function.parameters) if named is None else None
        opening = "{"
        before = style.before_key
        while True:
            while len(self._text) < len(before) and before.startswith(self._text):
                yield
            if not self._text.startswith(before):
                break
            self._text = self._text[len(before) :]
            key, after = yield from self._until((style.after_key, style.after_json_key))
            one = known.get(key, other)
            self._give(f"{opening}{json.dumps(key)}: ")
            opening = ", "
            if style.after_json_key:  # the tag tells whether it is a text
                is_json, one = after == style.after_json_key, None
            else:
                is_json = one is not None and one.texts is None
            if is_json:
                yield from self._value()
                yield from self._literal(style.after_value)
            else:
                yield from self._plain_text(style.after_value, one, style.escape)
        self._give("}" if opening == ", " else "{}")

    def _until(self, ends: Sequence[str]) -> Generator[None, None, tuple[str, str]]:
        """The text up to the first of some texts, and which one that is."""
        while not (found := [(at, end) for end in ends if end and (at := self._text.find(end)) >= 0]):
            yield
        at, end = min(found)
        before, self._text = self._text[:at], self._text[at + len(end) :]
        return before, end

    def _plain_text(
        self, end: str, argument: Argument | None, escape: tuple[str, str] | None = None
    ) -> _Steps:
        """A text without quotes, up to `end`, passed on as that of a JSON string."""
        if escape is not None:
            is_escaped = yield from self._option(escape[0])
            if is_escaped:
                end, argument = escape[1] + end, None
        if argument is not None and argument.may_be_null:
            whole = _NULL + end
            while len(self._text) < len(whole) and whole.startswith(self._text):
                yield
            if self._text.startswith(whole):
                self._give(_NULL)
                self._text = self._text[len(whole) :]
                return
        self._give('"')
        while (at := self._text.find(end)) < 0:
            certain = len(self._text) - overlap(self._text, end)
            self._give(json.dumps(self._text[:certain], ensure_ascii=False)[1:-1])
            self._text = self._text[certain:]
            yield
        self._give(json.dumps(self._text[:at], ensure_ascii=False)[1:-1] + '"')
        self._text = self._text[at + len(end) :]

    def _keywords(self, style: KeywordStyle, function: Function) -> _Steps:
        opening = "{"
        keys = [one.key for one in arguments(function.parameters) or ()]
        keys.sort(key=len, reverse=True)
        end = self._syntax.after_arguments[0]
        assert isinstance(end, str)
        while True:
            while not self._text:
                yield
            if self._text.startswith(end[0]):
                break
            if self._text.startswith(style.separator[0]):
                yield from self._literal(style.separator)
            while (key := self._assigned(keys, style.assignment)) is None:
                yield
            self._text = self._text[len(key) + len(style.assignment) :]
            self._give(f"{opening}{json.dumps(key)}: ")
            opening = ", "
            yield from self._keyword_value(style.quote)
        self._give("}" if opening == ", " else "{}")

    def _assigned(self, keys: Sequence[str], assignment: str) -> str | None:
        return next((key for key in keys if self._text.startswith(key + assignment)), None)

    def _keyword_value(self, quote: str) -> _Steps:
        """A value: a text in quotes of the style's own, if it has some, or JSON."""
        while not self._text or (len(self._text) < len(quote) and quote.startswith(self._text)):
            yield
        if quote and self._text.startswith(quote):
            self._text = self._text.removeprefix(quote)
            yield from self._plain_text(quote, None)
        else:
            yield from self._value()
