"""Each syntax of the table: what its grammar allows, its parser reads, and fits the schemas."""

from __future__ import annotations

import json
import re
import warnings
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import llama_cpp
import numpy as np
import pytest
from llguidance import LLMatcher, LLTokenizer
from llguidance.llamacpp import lltokenizer_from_vocab

from runtime.engine.api.schemas import Function
from runtime.engine.api.tools.grammar import CallGrammar
from runtime.engine.api.tools.offer import Offer
from runtime.engine.api.tools.parser import CallParser, Given, Named
from runtime.engine.api.tools.schemas import object_schema
from runtime.engine.api.tools.syntax import Syntax, TaggedStyle
from runtime.engine.api.tools.table import SYNTAXES, recognised
from runtime.engine.vocabulary import Vocabulary
from tests.support.gguf import build_model
from tests.support.tool_schemas import FUNCTIONS, check_call

FUNCTIONS_OFFERED = [Function.model_validate(one) for one in FUNCTIONS]
MARKS = sorted(
    {
        mark
        for syntax in SYNTAXES
        for text in syntax.texts()
        for mark in re.findall(
            r"<\|[^|>]+\|>|<\|[a-z_]+>|<[a-z_]+\|>|<｜[^｜]+｜>|｜DSML｜|\[[A-Z_]+\]|</?[a-z_:]+>", text
        )
    }
)
"""Every mark is a special token here: half of them control tokens, half what GGUF calls user-defined."""
by_name = pytest.mark.parametrize("syntax", SYNTAXES, ids=[one.name for one in SYNTAXES])


@dataclass
class Model:
    """A vocabulary, and llguidance's view of it. `llama` keeps both alive."""

    llama: llama_cpp.Llama
    vocabulary: Vocabulary
    tokenizer: LLTokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    path = tmp_path_factory.mktemp("marks") / "marks.gguf"
    build_model(path, controls=MARKS[::2], user_defined=MARKS[1::2])
    llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    vocab = llama_cpp.llama_model_get_vocab(llama.model)
    vocabulary = Vocabulary(vocab)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # llguidance's, for a name of llama_cpp's
        tokenizer = lltokenizer_from_vocab(vocab, eos_token=vocabulary.ends())
    yield Model(llama, vocabulary, tokenizer)
    llama.close()


def matcher_of(
    model: Model, syntax: Syntax, functions: Sequence[Function] = FUNCTIONS_OFFERED
) -> LLMatcher:
    schemas = [object_schema(one.parameters) for one in functions]
    lark = CallGrammar(syntax, model.vocabulary).lark(Offer(functions=functions), schemas)
    matcher = LLMatcher(model.tokenizer, LLMatcher.grammar_from_lark(lark), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def drawn(model: Model, matcher: LLMatcher, random: np.random.Generator) -> list[int]:
    """Tokens that the grammar allows, drawn at random up to an end."""
    vocabulary, tokens = model.vocabulary, list[int]()
    while len(tokens) < 4000:
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        bits = np.unpackbits(bits, count=vocabulary.n_tokens, bitorder="little")
        allowed = np.flatnonzero(bits).tolist()
        others = [token for token in allowed if not vocabulary.is_end(token)]
        if not others or (len(others) < len(allowed) and random.random() < 0.5):
            return tokens
        token = int(random.choice(others))
        matcher.consume_token(token)
        tokens.append(token)
    raise AssertionError("no end")


def calls_read(parser: CallParser, pieces: list[str]) -> list[tuple[str, str]]:
    calls: list[tuple[str, str]] = []
    for piece in pieces:
        for read in parser.feed(piece):
            if isinstance(read, Named):
                calls.append((read.name, ""))
            else:
                calls[-1] = (calls[-1][0], calls[-1][1] + read.text)
    return calls


@by_name
def test_what_the_grammar_allows_is_read_as_valid_calls(model: Model, syntax: Syntax) -> None:
    """Marks are special tokens; token by token or at once; several calls where the syntax has them."""
    matcher, random = matcher_of(model, syntax), np.random.default_rng(1)
    shown = model.vocabulary.shown(syntax.texts())
    several = set()
    for number in range(32):
        if number >= 6 and (True in several or syntax.is_single):
            break
        tokens = drawn(model, matcher.deep_copy(), random)
        decode = getincrementaldecoder("utf-8")().decode  # a mark's character may be several tokens
        pieces = [decode(shown.get(one) or model.vocabulary.pieces[one]) for one in tokens]

        calls = calls_read(CallParser(syntax, FUNCTIONS_OFFERED), pieces)

        assert calls
        for name, arguments in calls:
            check_call(name, arguments)
        several.add(len(calls) > 1)
        assert calls_read(CallParser(syntax, FUNCTIONS_OFFERED), ["".join(pieces)]) == calls
    assert (True in several) != syntax.is_single


DIGIT = {"type": "integer", "minimum": 0, "maximum": 9}
REFERS = {
    "name": "refers",
    "parameters": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": "#/definitions/Arguments",
        "definitions": {
            "Arguments": {
                "type": "object",
                "properties": {"n": {"$ref": "#/definitions/Digit"}},
                "required": ["n"],
                "additionalProperties": False,
            },
            "Digit": DIGIT,
        },
    },
}
"""As schema generators write it that give each type a name."""
ONE_TRUTH = {
    "name": "one_truth",
    "parameters": {
        "type": "object",
        "properties": {
            "no": {"type": "boolean", "const": False},
            "yes": {"type": "boolean", "enum": [True]},
        },
        "required": ["no", "yes"],
        "additionalProperties": False,
    },
}
TAKES_NOTHING = {"name": "takes_nothing", "parameters": {"type": "object"}}
COUNTS = {"name": "counts", "parameters": {"type": "object", "additionalProperties": DIGIT}}


@by_name
def test_schemas_hold_in_whatever_form_they_name_their_arguments(model: Model, syntax: Syntax) -> None:
    """Behind a reference; nowhere; a boolean that is one of the two; and by the schema of all others,
    where each has tags of its own."""
    functions = [REFERS, TAKES_NOTHING, ONE_TRUTH]
    functions += [COUNTS] if isinstance(syntax.style, TaggedStyle) else []
    offered = [Function.model_validate(one) for one in functions]
    matcher, random = matcher_of(model, syntax, offered), np.random.default_rng(3)
    shown = model.vocabulary.shown(syntax.texts())
    seen = dict[str, set[str]]()
    for _ in range(24):
        tokens = drawn(model, matcher.deep_copy(), random)
        text = b"".join(shown.get(one) or model.vocabulary.pieces[one] for one in tokens).decode()
        for name, arguments in calls_read(CallParser(syntax, offered), [text]):
            check_call(name, arguments, functions)
            seen.setdefault(name, set()).add(arguments)

    assert seen["takes_nothing"] == {"{}"}
    assert len(seen["one_truth"]) == 1
    assert len(seen["refers"]) > 1
    assert "counts" not in seen or len(seen["counts"]) > 1


@by_name
def test_a_trigger_begins_what_the_grammar_allows(model: Model, syntax: Syntax) -> None:
    """So the constraint can take over when a response has come to a trigger."""
    matcher = matcher_of(model, syntax)
    for trigger in syntax.triggers_for(["ping"]):
        tokens = model.vocabulary.mark(trigger)
        assert matcher.validate_tokens(tokens) == len(tokens)


@by_name
def test_a_call_that_is_cut_gives_what_is_certain(model: Model, syntax: Syntax) -> None:
    """max_tokens may end a response anywhere: no error, no guess, and nothing is taken back."""
    tokens = drawn(model, matcher_of(model, syntax), np.random.default_rng(2))
    shown = model.vocabulary.shown(syntax.texts())
    text = b"".join(shown.get(one) or model.vocabulary.pieces[one] for one in tokens).decode()
    whole = CallParser(syntax, FUNCTIONS_OFFERED).feed(text)
    given = "".join(one.text for one in whole if isinstance(one, Given))
    for end in range(0, len(text), 3):
        read = CallParser(syntax, FUNCTIONS_OFFERED).feed(text[:end])
        assert given.startswith("".join(one.text for one in read if isinstance(one, Given)))


def test_a_text_like_null_stays_text_where_the_tag_says_so() -> None:
    """Of an argument that may be null too; without such tags the word is null."""
    text = {"type": ["string", "null"]}
    parameters = {"type": "object", "properties": {"a": text, "b": text}}
    function = Function.model_validate({"name": "f", "parameters": parameters})
    by_name = {syntax.name: syntax for syntax in SYNTAXES}
    marks = {
        "deepseek-v4": (
            '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="f">\n'
            '<｜DSML｜parameter name="a" string="true">null</｜DSML｜parameter>\n'
            '<｜DSML｜parameter name="b" string="false">null</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        ),
        "gemma-4": '<|tool_call>call:f{a:<|"|>null<|"|>,b:null}<tool_call|>',
    }
    for name, written in marks.items():
        for pieces in ([written], list(written)):
            ((_, arguments),) = calls_read(CallParser(by_name[name], [function]), pieces)
            assert arguments == '{"a": "null", "b": null}'


def test_a_text_may_stand_in_an_escape(model: Model) -> None:
    """One that begins like an escape has to stand in one, so that none of it is lost."""
    parameters = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    function = Function.model_validate({"name": "f", "parameters": parameters})
    (syntax,) = [one for one in SYNTAXES if one.name == "minicpm-5"]
    lark = CallGrammar(syntax, model.vocabulary).lark(
        Offer(functions=[function]), [object_schema(parameters)]
    )
    matcher = LLMatcher(model.tokenizer, LLMatcher.grammar_from_lark(lark), log_level=0)
    texts = {"<![CDATA[x < y\n]]>": "x < y\n", "plain ]]>": "plain ]]>", "": "", "<![CDATA[]]>": ""}
    for written, meant in texts.items():
        call = f'<function name="f"><param name="a">{written}</param></function>'
        for pieces in ([call], list(call)):
            ((_, arguments),) = calls_read(CallParser(syntax, [function]), pieces)
            assert json.loads(arguments) == {"a": meant}
        tokens = model.vocabulary.mark(call)
        assert matcher.validate_tokens(tokens) == len(tokens)
    refused = model.vocabulary.mark('<function name="f"><param name="a"><b></param>')
    assert matcher.validate_tokens(refused) < len(refused)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ('{{ "<tool_call>\\n{\\"name\\": \\"" + f.name }}', "hermes"),
        ("{{ '<tool_call>\\n<function=' + f.name + '>\\n<parameter=' }}", "qwen3-coder"),
        ("{{ '[TOOL_CALLS]' + f.name + '[ARGS]' }}", "mistral"),
        ("{{ '[TOOL_CALLS][' }}", "mistral-array"),
        ("{{ '<tool_call>' + f.name }}<arg_key>{{ k }}</arg_key>\n<arg_value>", "glm-4.5"),
        ("{{ '<tool_call>' + f.name }}<arg_key>{{ k }}</arg_key><arg_value>", "glm-4.7"),
        ("{{ '<｜DSML｜tool_calls>' }}", "deepseek-v4"),
        ("{{ ']<]minimax[>[' ~ '<tool_call>' }}", None),
        ("{{ messages }}", None),
        ("", None),
    ],
)
def test_a_template_tells_its_syntax(template: str, name: str | None) -> None:
    """By its marks; one without any has none."""
    syntax = recognised(template)
    assert (syntax and syntax.name) == name
