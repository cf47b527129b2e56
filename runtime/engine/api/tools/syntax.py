"""What the syntax of a model's calls consists of.

A syntax is data: the literal texts between the names and the arguments. The grammar of calls and their
parser are both made from it, so that what the one allows the other understands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Hole(Enum):
    """Where the parts of a call stand that differ from call to call."""

    NAME = "name"
    ARGUMENTS = "arguments"


NAME, ARGUMENTS = Hole.NAME, Hole.ARGUMENTS


@dataclass(frozen=True)
class Pattern:
    """Text that is generated and not used, such as an id: a regular expression. A literal follows it."""

    expression: str


@dataclass(frozen=True)
class JsonStyle:
    """Arguments are the JSON of an object."""


@dataclass(frozen=True)
class TaggedStyle:
    """Each argument stands between tags; a text without quotes, everything else as JSON."""

    before_key: str
    after_key: str
    after_value: str
    after_json_key: str = ""
    """In place of `after_key` before what is no text; empty where the tags do not tell."""
    escape: tuple[str, str] | None = None
    """What stands around a text that begins like its first one, and around others at will."""


@dataclass(frozen=True)
class KeywordStyle:
    """Arguments are keyword arguments, as in Python: `city="Paris", metric=True`."""

    assignment: str = "="
    separator: str = ", "
    quote: str = ""
    """Around a text that may be any, or one of some; empty for JSON's."""
    has_python_words: bool = True
    """Whether True, False and None are written so, not as in JSON."""


Style = JsonStyle | TaggedStyle | KeywordStyle


@dataclass(frozen=True, kw_only=True)
class Syntax:
    """How a family of models writes calls."""

    name: str
    marks: tuple[str, ...]
    """What a chat template of this family contains: all of these."""
    call: tuple[str | Hole | Pattern, ...]
    """One call, with one NAME and, after it, one ARGUMENTS; a literal follows each, at the latest."""
    opening: str = ""
    """Before the first call."""
    between: str = ""
    closing: str = ""
    """After the last call."""
    optional: str = ""
    """A mark that may stand before the opening."""
    triggers: tuple[str, ...]
    """Texts with which calls begin: beginnings of what the grammar allows. NAME in one stands for the
    name of each function."""
    starts_only: bool = False
    """Whether a call begins only where the response begins."""
    is_single: bool = False
    """Whether a response has one call at most."""
    style: Style = JsonStyle()
    dropped: tuple[str, ...] = ()
    """Marks in the text of responses that are not shown."""
    dropped_first: tuple[str, ...] = ()
    """The same, where they count at the beginning of a response only."""

    def __post_init__(self) -> None:
        assert self.call.count(NAME) == self.call.count(ARGUMENTS) == 1
        assert self.ends_of_name

    @property
    def before_name(self) -> tuple[str | Hole | Pattern, ...]:
        return self.call[: self.call.index(NAME)]

    @property
    def after_name(self) -> tuple[str | Hole | Pattern, ...]:
        """What stands between the name and the arguments."""
        return self.call[self.call.index(NAME) + 1 : self.call.index(ARGUMENTS)]

    @property
    def ends_of_name(self) -> tuple[str, ...]:
        """The texts that may follow a name."""
        if self.after_name:
            return (self.after_name[0],) if isinstance(self.after_name[0], str) else ()
        end = self.after_arguments[0]
        if isinstance(self.style, TaggedStyle) and isinstance(end, str):
            return (self.style.before_key, end)
        return ()

    @property
    def after_arguments(self) -> tuple[str | Hole | Pattern, ...]:
        return self.call[self.call.index(ARGUMENTS) + 1 :]

    def triggers_for(self, names: Iterable[str]) -> list[str]:
        """The triggers of calls of functions of these names."""
        by_name = [text for text in self.triggers if "NAME" in text]
        others = [text for text in self.triggers if "NAME" not in text]
        return others + [text.replace("NAME", name) for text in by_name for name in names]

    def texts(self) -> list[str]:
        """All literal texts, in which special tokens may be named."""
        literals = [part for part in self.call if isinstance(part, str)]
        if isinstance(self.style, TaggedStyle):
            literals += [self.style.before_key, self.style.after_key, self.style.after_value]
            literals += [self.style.after_json_key, *(self.style.escape or ())]
        elif isinstance(self.style, KeywordStyle):
            literals.append(self.style.quote)
        fixed = [self.opening, self.between, self.closing, self.optional, *self.dropped]
        return [text for text in (*literals, *fixed, *self.triggers) if text]
