"""Keeps texts of users from becoming special tokens.

A template writes marks such as `<|im_end|>`, and the tokenizer reads them as the special tokens that
they name. The same characters in a message are text. So the first character of each such place in a
user's text is replaced by a private one before rendering, which leaves the length, blanks and all other
characters as they are. The same is done where the ends of texts could make a special token with what
stands beside them: text that follows, or what the template writes, such as the `<` and `>` that some put
round names. What the template makes of the text then shows which places were the user's: the stretches
between special tokens that have such places are tokenized as plain text. A text without such places goes
the common way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from runtime.engine.vocabulary import Vocabulary

_PRIVATE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
_SHOWN = re.compile(r"\S")
_FIELD = re.compile(r"%\w|\{[^}]*\}")
"""Where a text may be put into another that is a format."""


class PrivateCharactersUsed(Exception):
    """The texts have all of Unicode's private characters in them: none is left to stand for another."""


@dataclass(frozen=True)
class Marks:
    """The private characters that stand for others in one prompt."""

    originals: Mapping[str, str] = field(default_factory=dict)
    """For each private character the one that it replaces."""
    end: str = ""
    """A private character that stands for nothing: it marks the end of a text."""

    def plain(self, text: str) -> str:
        """The text as it was."""
        return text.translate({ord(mark): one for mark, one in self.originals.items()})

    def are_in(self, text: str) -> bool:
        return any(character in text for character in self.originals)


class Specials:
    """The special tokens of one vocabulary, by their texts.

    Args:
        vocabulary: the model's.
        written: what the template writes. The tokens of the vocabulary that are parsed in plain texts
        too (its
            user-defined ones) are special where the template writes them; the others are letters of a
            kind.
        literals: the texts that stand in the template, of which it may write each.
    """

    def __init__(self, vocabulary: Vocabulary, written: str, literals: Iterable[str] = ()) -> None:
        self._vocabulary = vocabulary
        self.user_defined = frozenset(
            text for text in vocabulary.user_defined if _is_mark(text) and text in written
        )
        self.texts = [*vocabulary.controls, *self.user_defined]
        self._first = sorted({text[0] for text in self.texts})
        self._longest = max(map(len, self.texts), default=0)
        self._beginnings = {text[:length] for text in self.texts for length in range(1, len(text))}
        # What the beginning of a text must not be, because the template may write what comes before.
        rests = self._rests(literals)
        self._heads = re.compile(_alternatives(rests))
        self._within = {rest[:length] for rest in rests for length in range(1, len(rest) + 1)}
        self._replaced = sorted({*self._first, *(rest[0] for rest in rests)})
        pattern = _alternatives(self.texts)
        self._found = re.compile(pattern)
        self._controls = re.compile(_alternatives([*vocabulary.controls]))
        # Looked for at each character, because one may begin within another.
        self._everywhere = re.compile(f"(?=({pattern}))")

    def are_in(self, texts: Iterable[str]) -> bool:
        """Whether a text spells a special token, or its beginning or end may become a part of one."""
        if not self.texts:
            return False
        return any(
            (
                any(first in text for first in self._first)
                and (self._found.search(text) is not None or any(True for _ in self._open_ends(text)))
            )
            or self._head(text) is not None
            for text in texts
        )

    def marks(self, texts: Iterable[str], also: str = "") -> Marks:
        """Private characters that are in none of the texts, nor in `also`.

        Raises:
            PrivateCharactersUsed: there are none.
        """
        used = set(also).union(*texts)
        free = (chr(code) for code in chain(*_PRIVATE) if chr(code) not in used)
        try:
            return Marks({next(free): one for one in self._replaced}, next(free))
        except StopIteration:
            raise PrivateCharactersUsed from None

    def marked(
        self, text: str, marks: Marks, spared: frozenset[str] = frozenset(), *, heads: bool = True
    ) -> str:
        """The text with its special places marked.

        Args:
            text: a user's.
            marks: what to mark them with.
            spared: special tokens that are left as they are.
            heads: whether a beginning is marked that the template may make a special token with.
        """
        places = set[int]()
        if any(first in text for first in self._first):
            found = self._everywhere.finditer(text)
            places = {one.start() for one in found if one[1] not in spared}
            if not spared:
                places.update(self._open_ends(text))
        if heads and (head := self._head(text)) is not None:
            places.add(head)
        if not places:
            return text
        private = {one: character for character, one in marks.originals.items()}
        characters = list(text)
        for place in places:
            characters[place] = private[characters[place]]
        return "".join(characters)

    def spelled(self, texts: Iterable[str]) -> set[str]:
        """The special tokens that the texts spell."""
        return {one[1] for text in texts for one in self._everywhere.finditer(text)}

    def _open_ends(self, text: str) -> Iterator[int]:
        """Where ends of the text begin that what follows may complete to a special token."""
        start = max(0, len(text) - self._longest)
        return (at for at in range(start, len(text)) if text[at:] in self._beginnings)

    def _head(self, text: str) -> int | None:
        """Where a beginning stands that what the template writes may complete to a special token."""
        if not self._within:
            return None
        shown = _SHOWN.search(text)  # templates trim texts
        if shown is None:
            return None
        at = shown.start()
        is_within = text[at : at + self._longest].rstrip() in self._within
        return at if is_within or self._heads.match(text, at) else None

    def _rests(self, literals: Iterable[str]) -> list[str]:
        """What is missing of special tokens behind the beginnings of them that literals write."""
        parts = {part for text in literals for part in _FIELD.split(text) if part}
        begun = {part[at:] for part in parts for at in self._open_ends(part)}
        new = set(begun)
        while new:  # written one after the other, as by `"<" ~ "|"`
            new = ({one + part for one in new for part in parts} & self._beginnings) - begun
            begun |= new
        return [
            text[length:]
            for text in self.texts
            for length in range(1, len(text))
            if text[:length] in begun
        ]

    def tokenize(self, text: str, marks: Marks, *, add_special: bool) -> list[int]:
        """The tokens of a rendered text: special ones only where the template wrote them."""
        vocabulary = self._vocabulary
        if not marks.are_in(text):
            return vocabulary.tokenize(text, add_special=add_special, parse_special=True)
        begin, end = vocabulary.surroundings() if add_special else ([], [])
        tokens = list(begin)
        for stretch, is_plain in self._stretches(text, marks):
            content = marks.plain(stretch)
            cuts: tuple[int, ...] = ()
            if is_plain and self.user_defined:
                # These are parsed in plain texts too, unless they are cut in two.
                cuts = tuple(at + 1 for at, one in enumerate(stretch[:-1]) if one in marks.originals)
            tokens += vocabulary.tokenize(
                content, add_special=False, parse_special=not is_plain, cuts=cuts
            )
        return tokens + list(end)

    def _stretches(self, text: str, marks: Marks) -> Iterator[tuple[str, bool]]:
        """The text's parts, and whether each is plain: marked, and between special tokens."""
        start = at = 0  # of what has not been yielded; of the stretch behind the last special token
        before = ""
        for special in [*self._controls.finditer(text), None]:
            until = len(text) if special is None else special.start()
            if marks.are_in(text[at:until]):
                if start < at:
                    yield text[start:at], False
                after = "" if special is None else special[0]
                yield self._stripped(text[at:until], before, after), True
                start = until
            if special is not None:
                at, before = special.end(), special[0]
        if start < len(text):
            yield text[start:], False

    def _stripped(self, stretch: str, before: str, after: str) -> str:
        """The stretch without the blanks that the special tokens beside it take away."""
        if before in self._vocabulary.strip_after:
            stretch = stretch.lstrip(" \t\n\v\f\r")
        if after in self._vocabulary.strip_before:
            stretch = stretch.rstrip(" \t\n\v\f\r")
        return stretch


def _is_mark(text: str) -> bool:
    """Whether a text looks like `<tool_call>`, not like blanks or a word."""
    return len(text) > 2 and not text[0].isalnum() and not any(map(str.isspace, text))


def _alternatives(texts: Sequence[str]) -> str:
    """An expression for any of the texts, the longest first; quick, because it is a tree of prefixes."""
    if not texts:
        return "(?!)"
    tree: dict[str, Any] = {}
    for text in texts:
        node = tree
        for character in text:
            node = node.setdefault(character, {})
        node[""] = {}
    return _expression(tree)


def _expression(node: Mapping[str, Any]) -> str:
    branches = []
    for character, below in node.items():
        prefix = character
        while len(below) == 1 and "" not in below:  # a chain, which needs no group
            ((character, below),) = below.items()  # noqa: PLW2901
            prefix += character
        if prefix:
            branches.append(re.escape(prefix) + ("" if list(below) == [""] else _expression(below)))
    if not branches:
        return ""
    return f"(?:{'|'.join(branches)})" + ("?" if "" in node else "")
