"""What a response must look like: a JSON schema, any JSON object, or a grammar.

llguidance compiles them against the loaded vocabulary and says after each token which may follow. It
replaces llama.cpp's own grammar sampler, which ends the process on what it cannot compile. Errors are
found here, before anything is generated; whether compiling comes to an end, in `sandbox.py`. Compiling
and masks release the interpreter's lock.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import llama_cpp
import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.llamacpp import lltokenizer_from_vocab
from numpy.typing import NDArray

from runtime.engine import errors
from runtime.engine.grammar.compiler import Source, Verdict, limits
from runtime.engine.grammar.exact_forms import in_exact_forms
from runtime.engine.grammar.forms import check_forms
from runtime.engine.grammar.refusals import refusal, unenforceable
from runtime.engine.grammar.relaxations import Relaxations
from runtime.engine.grammar.relaxing import UNSATISFIABLE, faults, relaxed
from runtime.engine.grammar.sandbox import SECONDS, Sandbox, SandboxError
from runtime.engine.grammar.sources import (
    MAX_GRAMMAR_CHARACTERS,
    check_depth,
    check_length,
    json_source,
)
from runtime.engine.grammar.subschemas import Path, Schema
from runtime.engine.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

_MATCHERS = 32
_UNWRITTEN = Source(text="", is_converted=True)


class Constraint:
    """One response's progress through its grammar. Not for several threads at once."""

    def __init__(self, matcher: LLMatcher, n_tokens: int, param: str) -> None:
        self._matcher = matcher
        self._n_tokens = n_tokens
        self._param = param

    def forbidden(self) -> NDArray[np.bool_]:
        """For each token, whether it must not come next; of shape (vocabulary,).

        Raises:
            Refusal: the grammar turned out too complex.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        bits = np.unpackbits(bits, count=self._n_tokens, bitorder="little")
        return np.equal(bits, 0)

    def accept(self, token: int) -> None:
        """Advance by a token that was allowed.

        Raises:
            Refusal: the grammar turned out too complex.
        """
        self._matcher.consume_token(token)
        self._check()

    def allows(self, tokens: Sequence[int]) -> bool:
        """Whether all of these tokens may come next, in this order."""
        return self._matcher.validate_tokens(list(tokens)) == len(tokens)

    def copy(self) -> Constraint:
        """Another one with the same progress, for another response. Much quicker than compiling anew."""
        return Constraint(self._matcher.deep_copy(), self._n_tokens, self._param)

    def _check(self) -> None:
        if self._matcher.is_error():
            raise refusal(self._param, self._matcher.get_error())


@dataclass(frozen=True)
class Grammar:
    """A schema or grammar that is not compiled yet. `param` is the request's field that contained it."""

    source: Source
    param: str
    schema: Schema | None = None
    """What the source was made of. Keywords that do not compile are left out of it."""
    is_strict: bool = False
    """Rather refuse than leave keywords out."""
    relax: Callable[[], Grammar] | None = None
    """Makes a grammar to take where this one, of llguidance's own form, does not compile."""


class Constraints:
    """Compiles constraints for one vocabulary. Thread-safe.

    What that takes is made with the first one: some seconds and memory, and not every vocabulary will
    do (WordPiece will not).
    """

    def __init__(self, vocab: llama_cpp.llama_vocab_p, vocabulary: Vocabulary) -> None:
        self._vocab = vocab
        self._n_tokens = vocabulary.n_tokens
        self._ends = vocabulary.ends()
        self._sandbox = Sandbox(vocabulary.pieces, self._ends)
        self._lock = threading.Lock()
        self._relaxations = Relaxations()
        self._matchers: OrderedDict[str, LLMatcher] = OrderedDict()
        """The last grammars, compiled, at their beginning."""
        self._made: LLTokenizer | None = None

    def json_schema(self, schema: object, *, param: str, strict: bool) -> Grammar:
        """JSON that a schema allows, without blanks between its parts.

        Args:
            schema: https://json-schema.org/draft/2020-12/schema; references within it only.
            param: the request's field that it came in, for the error.
            strict: refuse keywords that cannot be enforced, rather than leave them out.

        Raises:
            Refusal: it is no schema, or too large; a keyword's value has a form that it cannot have.
        """
        if isinstance(schema, bool):
            schema = {} if schema else {"enum": []}
        if not isinstance(schema, Mapping):
            raise errors.invalid(param, f"{param} must be a JSON schema: an object.")
        check_depth(schema, param)
        check_length(json.dumps(schema), param)  # exact forms of a long one take seconds
        exact = in_exact_forms(dict(schema))
        check_forms(exact, param)
        return Grammar(json_source(exact, param, is_strict=strict), param, exact, strict)

    def lark(self, text: str, *, param: str, relax: Callable[[], Grammar] | None = None) -> Grammar:
        """Text that a grammar of llguidance's own form allows.

        Args:
            text: the grammar.
            param: the request's field that it comes of, for the error.
            relax: makes another grammar to take where this one is too large or does not compile.

        Raises:
            Refusal: it is too large.
        """
        if relax is not None and len(text) > MAX_GRAMMAR_CHARACTERS:
            return self.unwritten(param=param, relax=relax)
        check_length(text, param)
        source = Source(text=LLMatcher.grammar_from_lark(text), is_converted=True)
        return Grammar(source, param, relax=relax)

    def unwritten(self, *, param: str, relax: Callable[[], Grammar]) -> Grammar:
        """A grammar that is too large to be written; compiling it takes another one."""
        return Grammar(_UNWRITTEN, param, relax=relax)

    def enforceable(self, schema: Schema, *, param: str, strict: bool, path: Path = ()) -> Schema:
        """A schema without the keywords that cannot be compiled. Takes up to some seconds.

        Args:
            schema: the schema.
            param: the request's field that it came in, for the error.
            strict: refuse such keywords.
            path: where it stands in that field.

        Raises:
            Refusal: it is strict and has some, or allows nothing.
        """
        grammar = self.json_schema(schema, param=param, strict=strict)
        assert grammar.schema is not None
        error = self._verdict(grammar.source).error
        if error and _is_certain(error):
            raise refusal(param, error)
        return self._relaxed_schema(grammar, path) if error else grammar.schema

    def is_enforceable(self, schema: Schema, *, param: str) -> bool:
        """Whether a schema can be compiled, with its keywords that cannot be enforced left out."""
        return not self._verdict(self.json_schema(schema, param=param, strict=False).source).error

    def grammar(self, text: str) -> Grammar:
        """Text that a grammar allows: llama.cpp's GBNF, or llguidance's Lark.

        Raises:
            Refusal: it is too large.
        """
        check_length(text, "grammar")
        return Grammar(Source(text=text, is_converted=False), "grammar")

    def is_known(self, grammar: Grammar) -> bool:
        """Whether it has been compiled before, or refused: `compile` is quick then."""
        grammar = self._known_relaxed(grammar)
        verdict = self._sandbox.known(grammar.source)
        is_final = grammar.schema is None and grammar.relax is None
        return verdict is not None and (not verdict.error or is_final)

    def compile(self, grammar: Grammar) -> Constraint:
        """A constraint for one response. Takes up to some seconds, and waits for other compilations.

        Raises:
            Refusal: it is invalid, cannot be satisfied, or is too complex.
        """
        if grammar.source == _UNWRITTEN and grammar.relax is not None:
            return self.compile(grammar.relax())
        grammar = self._known_relaxed(grammar)
        verdict = self._verdict(grammar.source)
        if verdict.error and grammar.schema is not None and not _is_certain(verdict.error):
            return self.compile(self._relaxed(grammar))
        if verdict.error and grammar.relax is not None:
            made = grammar.relax()
            if made.source != _UNWRITTEN:
                self._relaxations.put(grammar.source, made.source)
            return self.compile(made)
        if verdict.error:
            raise refusal(grammar.param, verdict.error)
        return Constraint(self._matcher(verdict.grammar, grammar.param), self._n_tokens, grammar.param)

    def _matcher(self, text: str, param: str) -> LLMatcher:
        """A matcher at its beginning: a copy, where the same grammar has come lately."""
        with self._lock:
            known = self._matchers.get(text)
            if known is not None:
                self._matchers.move_to_end(text)
                return known.deep_copy()
        matcher = LLMatcher(self._tokenizer(), text, log_level=0, limits=limits())
        if matcher.is_error():
            raise refusal(param, matcher.get_error())
        with self._lock:
            self._matchers[text] = matcher.deep_copy()
            if len(self._matchers) > _MATCHERS:
                self._matchers.popitem(last=False)
        return matcher

    def _verdict(self, source: Source, seconds: float = SECONDS) -> Verdict:
        try:
            return self._sandbox.check(source, seconds)
        except SandboxError as error:
            logger.error("%s", error)
            raise errors.compiler_away() from error

    def _relaxed(self, grammar: Grammar) -> Grammar:
        made = json_source(self._relaxed_schema(grammar), grammar.param, is_strict=False)
        self._relaxations.put(grammar.source, made)
        return Grammar(made, grammar.param)

    def _relaxed_schema(self, grammar: Grammar, path: Path = ()) -> Schema:
        """A grammar's schema without the keywords that cannot be compiled.

        Raises:
            Refusal: the schema is strict.
        """
        schema, param = grammar.schema, grammar.param
        assert schema is not None

        def check(part: Schema, seconds: float) -> Verdict:
            return self._verdict(json_source(part, param, is_strict=grammar.is_strict), seconds)

        if grammar.is_strict:
            at_fault = faults(schema, check)
            if at_fault:
                fault = replace(at_fault[0], path=(*path, *at_fault[0].path))
                raise unenforceable(param, fault)
            raise refusal(param, self._verdict(grammar.source).error)
        return relaxed(schema, check)

    def _known_relaxed(self, grammar: Grammar) -> Grammar:
        while (made := self._relaxations.get(grammar.source)) is not None:
            grammar = Grammar(made, grammar.param)
        return grammar

    def _tokenizer(self) -> LLTokenizer:
        with self._lock:
            if self._made is None:
                self._made = lltokenizer_from_vocab(self._vocab, eos_token=self._ends or None)
            return self._made


def _is_certain(reason: str) -> bool:
    """Whether a schema allows nothing, whatever is left out of it."""
    return reason.startswith((UNSATISFIABLE, "NoExtension"))
