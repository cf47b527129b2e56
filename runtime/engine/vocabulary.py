"""The model's vocabulary: text to tokens and back, safe for any text and any id.

Owns three defects of the stock tokenizer. A long run without a change between blanks and other
characters ends the process with many BPE vocabularies, whose splitting expression recurses once for
each character (std::regex; 50,000 letters were enough), and takes quadratic time with SentencePiece
ones. Pieces longer than 32 bytes vanish. Ids outside the vocabulary end the process.

Needs no lock: llama.cpp reads its vocabulary only.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import llama_cpp
import numpy as np

RUN_CHARACTERS = 4000
"""A longer run is tokenized in parts of no more than this. The expressions need up to 500 bytes of stack
a character, and one match takes in two runs at the most: 4 MB, of settings.THREAD_STACK_BYTES."""

_BLOCK = RUN_CHARACTERS // 2
_BLANK = re.compile(r"\s")
_PROBED_SPECIALS = 16
_CONTROL = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN

_SENTINEL = "☺"
"""Stands before a later part of a text while that is tokenized, so that it is not taken for the
beginning of a text, to which some vocabularies add a blank. No known piece joins it to anything."""


class Vocabulary:
    """The vocabulary of one model; `vocab` is llama.cpp's pointer, as from `llama_model_get_vocab`."""

    def __init__(self, vocab: object) -> None:
        self._vocab = vocab
        self.n_tokens = int(llama_cpp.llama_vocab_n_tokens(vocab))
        self.pieces = [_read_piece(vocab, token) for token in range(self.n_tokens)]
        self.longest_piece_bytes = max(map(len, self.pieces), default=1) or 1
        self.controls = dict(_texts(vocab, self.n_tokens, _CONTROL))
        """The texts that are read as one token where special tokens are parsed, and their tokens."""
        self.user_defined = dict(_texts(vocab, self.n_tokens, llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED))
        """The texts that are read as one token wherever they stand."""
        self.strip_before = _stripping(vocab, self.controls, llama_cpp.LLAMA_TOKEN_ATTR_LSTRIP)
        """The texts of controls that take away the blanks before them."""
        self.strip_after = _stripping(vocab, self.controls, llama_cpp.LLAMA_TOKEN_ATTR_RSTRIP)
        self.bos_text = self._text_of(llama_cpp.llama_vocab_bos(vocab))
        """The text of the token that begins a text; empty if the vocabulary has none."""
        self.eos_text = self._text_of(llama_cpp.llama_vocab_eos(vocab))
        self._ends = {
            token for token in range(self.n_tokens) if llama_cpp.llama_vocab_is_eog(vocab, token)
        }
        self._specials = {**self.controls, **self.user_defined}
        self._first_of_specials = {text[0] for text in self._specials}

    def is_end(self, token: int) -> bool:
        """Whether the token ends a response."""
        return token in self._ends

    def ends(self) -> list[int]:
        """All tokens that end a response."""
        return sorted(self._ends)

    def add_end(self, token: int) -> None:
        """Have one more token end a response: the chat template's, which the file does not name.

        To be called before anything is generated.
        """
        self._ends.add(token)

    def surroundings(self) -> tuple[list[int], list[int]]:
        """The tokens that the vocabulary puts before and behind a whole text."""
        around = self._tokenize("", add_special=True, parse_special=False)
        end = llama_cpp.llama_vocab_eos(self._vocab)
        has_end = bool(around) and around[-1] == end and llama_cpp.llama_vocab_get_add_eos(self._vocab)
        return (around[:-1], around[-1:]) if has_end else (around, [])

    def _text_of(self, token: int) -> str:
        if not 0 <= token < self.n_tokens:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """A token's bytes, none for a control token."""
        return self.pieces[token]

    def join(self, tokens: Iterable[int]) -> bytes:
        """The bytes of several tokens.

        Raises:
            IndexError: one is no token of this vocabulary.
        """
        return b"".join(self.pieces[token] for token in tokens)

    def holds(self, tokens: Sequence[int]) -> bool:
        """Whether all are tokens of this vocabulary."""
        return not tokens or (min(tokens) >= 0 and max(tokens) < self.n_tokens)

    def names_special(self, text: str, *, more_than: int) -> bool:
        """Whether a text names more than so many special tokens, about: for each kind of them the
        tokenizer goes once through all the parts that it has found.
        """
        if sum(map(text.count, self._first_of_specials)) <= more_than:
            return False
        found = 0
        for special in self._specials:
            found += text.count(special)
            if found > more_than:
                return True
        return False

    def tokenize(
        self, text: str, *, add_special: bool, parse_special: bool, cuts: Sequence[int] = ()
    ) -> list[int]:
        """The text's tokens.

        Takes seconds for some MB: not for an event loop.

        Args:
            text: any; it holds no lone surrogates.
            add_special: begin (and end, where the model wants that) with the vocabulary's own marks.
            parse_special: read `<s>` and the like in the text as the tokens they name.
            cuts: ascending places in the text that no token reaches across.
        """
        first, *others = _parts(text, cuts)
        tokens = self._tokenize(first, add_special=add_special, parse_special=parse_special)
        if others:
            before = self._tokenize(_SENTINEL, add_special=False, parse_special=False)
            for part in others:
                more = self._tokenize(_SENTINEL + part, add_special=False, parse_special=parse_special)
                if more[: len(before)] == before:
                    tokens += more[len(before) :]
                else:
                    tokens += self._tokenize(part, add_special=False, parse_special=parse_special)
        return tokens

    @cached_property
    def adds_blanks(self) -> bool:
        """Whether tokenizing puts blanks into a text, behind special tokens that are texts in it.

        SentencePiece vocabularies with `add_space_prefix` and user-defined tokens do.
        """
        texts = [text for text, token in self._specials.items() if self.pieces[token]]
        for text in texts[:_PROBED_SPECIALS]:
            probe = f"{_SENTINEL}{text}x"
            tokens = self._tokenize(probe, add_special=False, parse_special=True)
            if not self.join(tokens).endswith(f"{text}x".encode()):
                return True
        return False

    def continuing(self, text: str) -> list[int]:
        """The tokens of a text that follows other text; nothing in it is read as a special token."""
        if not text:
            return []
        before = self._tokenize(_SENTINEL, add_special=False, parse_special=False)
        tokens = self._tokenize(_SENTINEL + text, add_special=False, parse_special=False)
        if tokens[: len(before)] == before:
            return tokens[len(before) :]
        return self._tokenize(text, add_special=False, parse_special=False)

    def parts(self, text: str) -> list[int | str]:
        """A text as the special tokens that it names, and the texts between them."""
        named = sorted((name for name in self._specials if name in text), key=len, reverse=True)
        if not named:
            return [text] if text else []
        found = re.split("(" + "|".join(map(re.escape, named)) + ")", text)
        return [self._specials.get(part, part) for part in found if part]

    def mark(self, text: str) -> list[int]:
        """The tokens of a text that follows other text, with the special tokens that it names."""
        found = ([part] if isinstance(part, int) else self.continuing(part) for part in self.parts(text))
        return [token for tokens in found for token in tokens]

    def shown(self, texts: Iterable[str]) -> dict[int, bytes]:
        """The texts of the control tokens that are named in `texts`; their pieces are empty."""
        tokens = {part for text in texts for part in self.parts(text) if isinstance(part, int)}
        return {token: self.special_text(token) for token in tokens if not self.pieces[token]}

    def is_opaque(self, token: int) -> bool:
        """Whether llguidance takes a special token for no text: a grammar names it by its id."""
        attributes = llama_cpp.llama_vocab_get_attr(self._vocab, token)
        if attributes & llama_cpp.LLAMA_TOKEN_ATTR_CONTROL:
            return True
        text = self.pieces[token]
        is_bracketed = text.startswith(b"<") and text.endswith(b">")
        return bool(attributes & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED) and is_bracketed

    def special_text(self, token: int) -> bytes:
        """A token's text, also that of a control token, whose piece is empty."""
        text: bytes = llama_cpp.llama_vocab_get_text(self._vocab, token)
        return self.pieces[token] or text

    def _tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        content = text.encode()
        room = len(content) + 2
        while True:
            tokens = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(
                self._vocab, content, len(content), tokens, room, add_special, parse_special
            )
            if count >= 0:
                found: list[int] = np.ctypeslib.as_array(tokens)[:count].tolist()
                return found
            room = -count


def _read_piece(vocab: object, token: int) -> bytes:
    room = 64
    while True:
        buffer = ctypes.create_string_buffer(room)
        size = int(llama_cpp.llama_token_to_piece(vocab, token, buffer, room, 0, False))
        if size >= 0:
            return buffer.raw[:size]
        room = -size


def _texts(vocab: object, n_tokens: int, attributes: int) -> Iterator[tuple[str, int]]:
    """The texts of the tokens that have one of the attributes, with the tokens."""
    for token in range(n_tokens):
        if llama_cpp.llama_vocab_get_attr(vocab, token) & attributes:
            text = llama_cpp.llama_vocab_get_text(vocab, token).decode("utf-8", "replace")
            if text:
                yield text, token


def _stripping(vocab: object, tokens: dict[str, int], attribute: int) -> frozenset[str]:
    return frozenset(
        text
        for text, token in tokens.items()
        if llama_cpp.llama_vocab_get_attr(vocab, token) & attribute
    )


def _parts(text: str, wanted: Sequence[int]) -> list[str]:
    """The text, cut where that is wanted and where a run has become too long."""
    # A run that long has a whole block in it, which is all blanks or has none. Looking for the run
    # itself would take a time that is the square of its length.
    long = [end for end in range(_BLOCK, len(text), _BLOCK) if _is_run(text[end - _BLOCK : end])]
    cuts = sorted({*long, *wanted}) if wanted else long
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _is_run(block: str) -> bool:
    return block.isspace() or _BLANK.search(block) is None
