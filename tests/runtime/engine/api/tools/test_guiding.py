"""Calls of each syntax within a response, from the mark on. A script plays the model's part."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import llama_cpp
import numpy as np
import pytest

from runtime.engine.api.schemas import ChatRequest, Function
from runtime.engine.api.thinking import ModelThinking
from runtime.engine.api.tools.calls import Calls
from runtime.engine.api.tools.offer import Offer
from runtime.engine.api.tools.parser import CallParser, Given, Named
from runtime.engine.api.tools.syntax import Syntax
from runtime.engine.api.tools.table import SYNTAXES
from runtime.engine.errors import Refusal
from runtime.engine.generation.marks.guide import Guide
from runtime.engine.generation.marks.markup import Markup, Phase, Thinking
from runtime.engine.generation.sampling.logits import LogitShaper
from runtime.engine.grammar.constraint import Constraints
from runtime.engine.vocabulary import Vocabulary
from tests.runtime.engine.api.tools.test_syntaxes import FUNCTIONS_OFFERED, MARKS
from tests.support.gguf import build_model
from tests.support.templates import HERMES_MARKS
from tests.support.tool_schemas import check_call

BEYOND = ("functools!", "ols!", "s{", ":<")
"""Tokens that go on after a mark."""
ENDS = ("<|return|>", "<|call|>")
"""Where these are, llama.cpp does not take <|end|> for the end of a response."""


class Script:
    """Plays the model: says a text, then whatever is allowed, drawn at random."""

    def __init__(self, vocabulary: Vocabulary, constraints: Constraints) -> None:
        self.vocabulary = vocabulary
        self.constraints = constraints
        self._random = np.random.default_rng(5)

    def spans(
        self, markup: Markup, calls: Calls, offer: Offer, said: Sequence[int], stops: Sequence[str] = ()
    ) -> list[tuple[Phase, str]]:
        """What the guide makes of a response that begins with the tokens `said`, by phase."""
        constraint = self.constraints.compile(calls.grammar(offer))
        ends = self.vocabulary.ends()
        shaper = LogitShaper(bias={}, min_tokens=0, ends=ends, constraint=None)
        guide = Guide(markup, stops, constraint, shaper, self.vocabulary)
        wanted = list(said)
        for _ in range(3000):
            token = guide.forced
            if token is None:
                token = guide.choose(token := self._next(shaper, wanted), is_end=token in ends)
            if token in ends or guide.stopped_by is not None:
                break
            shaper.accept(token)
            guide.feed(token)
        guide.finish()
        joined: list[tuple[Phase, str]] = []
        for phase, part in guide.spans():
            before = joined.pop()[1] if joined and joined[-1][0] is phase else ""
            joined.append((phase, before + part))
        return joined

    def _next(self, shaper: LogitShaper, wanted: list[int]) -> int:
        logits = np.zeros(self.vocabulary.n_tokens, dtype=np.single)
        if wanted:
            logits[wanted[0]] = 1.0
        shaper.shape(logits)
        allowed = np.flatnonzero(logits > -np.inf).tolist()
        if wanted:
            token = wanted.pop(0)
            if token in allowed:
                return token
            wanted.clear()
        ends = [token for token in allowed if self.vocabulary.is_end(token)]
        others = [token for token in allowed if not self.vocabulary.is_end(token)]
        if ends and (not others or self._random.random() < 0.5):
            return ends[0]
        return int(self._random.choice(others))


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    path: Path = tmp_path_factory.mktemp("marks") / "marks.gguf"
    build_model(path, controls=[*MARKS[::2], *ENDS], user_defined=MARKS[1::2], extra_tokens=BEYOND)
    llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    vocab = llama_cpp.llama_model_get_vocab(llama.model)
    vocabulary = Vocabulary(vocab)
    constraints = Constraints(vocab, vocabulary)
    yield Script(vocabulary, constraints)
    constraints._sandbox.close()
    llama.close()


def calls_of(script: Script, syntax: Syntax) -> Calls:
    calls = Calls(
        "".join(syntax.marks),
        renders_tools=True,
        vocabulary=script.vocabulary,
        constraints=script.constraints,
    )
    calls.syntax = syntax
    assert calls.is_native
    return calls


def check(syntax: Syntax, functions: Sequence[Function], text: str) -> int:
    """Check the calls in a text; returns how many there are."""
    names, arguments = list[str](), list[str]()
    for read in CallParser(syntax, functions).feed(text):
        if isinstance(read, Named):
            names.append(read.name)
            arguments.append("")
        else:
            arguments[-1] += read.text
    for name, given in zip(names, arguments, strict=True):
        check_call(name, given)
    return len(names)


# llguidance's, for a name of llama_cpp's
pytestmark = pytest.mark.filterwarnings("ignore:llama_token_get_attr:DeprecationWarning")
RECOGNISED = [one for one in SYNTAXES if one.name != "smollm-3"]


@pytest.mark.parametrize("syntax", RECOGNISED, ids=[one.name for one in RECOGNISED])
def test_a_call_that_begins_in_a_text_is_valid(script: Script, syntax: Syntax) -> None:
    """The text before it is content; nothing of the syntax is, and stop sequences end no call."""
    calls, offer = calls_of(script, syntax), Offer(functions=FUNCTIONS_OFFERED)
    triggers = calls.triggers(offer)
    markup = Markup(
        triggers=triggers,
        starts_only=syntax.starts_only,
        is_lazy=True,
        dropped=syntax.dropped,
        dropped_first=syntax.dropped_first,
        shown=calls.shown,
    )
    before = [] if syntax.starts_only else script.vocabulary.continuing("So it is")
    for trigger in triggers:
        spans = script.spans(markup, calls, offer, [*before, *triggers[trigger]], ['"', "}", "e("])

        *texts, (phase, text) = spans
        assert texts == ([] if syntax.starts_only else [(Phase.CONTENT, "So it is")])
        assert phase is Phase.CALL
        assert text.startswith(trigger)
        assert check(syntax, FUNCTIONS_OFFERED, text)


def test_a_token_that_goes_beyond_a_mark_is_cut(script: Script) -> None:
    """What follows the mark is what the grammar demands."""
    syntax = next(one for one in SYNTAXES if one.name == "functools")
    calls, offer = calls_of(script, syntax), Offer(functions=FUNCTIONS_OFFERED)
    markup = Markup(triggers=calls.triggers(offer), is_lazy=True)
    beyond = script.vocabulary.pieces.index(b"functools!")

    spans = script.spans(markup, calls, offer, [beyond])

    assert [phase for phase, _ in spans] == [Phase.CALL]
    assert spans[0][1].startswith("functools[")
    assert check(syntax, FUNCTIONS_OFFERED, spans[0][1])


def test_a_model_of_harmony_thinks_before_a_call_that_is_demanded(script: Script) -> None:
    """As gpt-oss does: its channels are phases, and no mark is shown."""
    syntax = next(one for one in SYNTAXES if one.name == "harmony")
    calls, offer = calls_of(script, syntax), Offer(functions=FUNCTIONS_OFFERED, is_required=True)
    thinking = ModelThinking("<|channel|>analysis<|message|> <|end|>", script.vocabulary)
    request = ChatRequest.model_validate({"messages": [{"role": "user"}], "reasoning_budget": 9})
    markup = Markup(
        thinking=thinking.of_response(request, "<|start|>assistant", is_constrained=True),
        begins_call=True,
        dropped=syntax.dropped,
        shown=calls.shown | thinking.shown,
    )

    spans = script.spans(markup, calls, offer, script.vocabulary.continuing("I think"))

    assert [phase for phase, _ in spans] == [Phase.THINKING, Phase.CALL]
    assert spans[0][1].startswith("I think")
    assert check(syntax, FUNCTIONS_OFFERED, spans[1][1])


def test_text_of_harmony_has_no_marks(script: Script) -> None:
    """Analysis is thinking, the final channel is content."""
    syntax = next(one for one in SYNTAXES if one.name == "harmony")
    calls, offer = calls_of(script, syntax), Offer(functions=FUNCTIONS_OFFERED)
    marks = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Yes"
    markup = Markup(
        thinking=Thinking(starts=("<|channel|>analysis<|message|>",), ends=("<|end|>",)),
        triggers=calls.triggers(offer),
        is_lazy=True,
        dropped=syntax.dropped,
        shown=script.vocabulary.shown([marks, *syntax.texts()]),
    )
    said = [*script.vocabulary.mark(marks), script.vocabulary.ends()[0]]

    assert script.spans(markup, calls, offer, said) == [
        (Phase.THINKING, "Hm"),
        (Phase.CONTENT, "Yes"),
    ]


def test_a_stray_byte_within_a_mark_is_text(script: Script) -> None:
    """A token of half a character, within what would be a mark otherwise."""
    syntax = next(one for one in SYNTAXES if one.name == "functools")
    calls, offer = calls_of(script, syntax), Offer(functions=FUNCTIONS_OFFERED)
    markup = Markup(triggers=calls.triggers(offer), is_lazy=True)
    vocabulary = script.vocabulary
    half, rest = vocabulary.pieces.index(b"\xe2"), vocabulary.pieces.index(b"ols!")
    said = [*vocabulary.continuing("funct"), *vocabulary.continuing("o"), half, rest]

    spans = script.spans(markup, calls, offer, [*said, vocabulary.ends()[0]])

    assert spans == [(Phase.CONTENT, "functo\ufffdols!")]


@pytest.mark.parametrize("name", ["qwen3-coder", "lfm2", "hermes"])
def test_arguments_are_read_as_they_were_allowed_where_a_schema_is_relaxed(
    script: Script, name: str
) -> None:
    """A keyword that cannot be enforced changes nothing in how its argument is written."""
    syntax = next(one for one in SYNTAXES if one.name == name)
    odd = {"type": "string", "pattern": "(?=x)y", "maxLength": 2}
    properties = {"a": odd, "b": {"type": "integer", "maximum": 9, "minimum": 0}}
    function = {
        "name": "f",
        "parameters": {"type": "object", "properties": properties, "required": ["a", "b"]},
    }
    function["parameters"]["additionalProperties"] = False  # type: ignore[index]
    offer = Offer(functions=[Function.model_validate(function)], is_parallel=False)
    calls = calls_of(script, syntax)
    triggers = calls.triggers(offer)
    markup = Markup(triggers=triggers, is_lazy=True, shown=calls.shown)

    ((_, text),) = script.spans(markup, calls, offer, next(iter(triggers.values())))

    read = CallParser(syntax, offer.functions).feed(text)
    arguments = json.loads(
        "".join(one.text for one in read if isinstance(one, Given)).split("}")[0] + "}"
    )
    assert isinstance(arguments["a"], str)
    assert arguments["b"] in range(10)


DEFINITIONS = {"x": {"description": "d" * 1_000_000}}


@pytest.mark.parametrize("name", ["qwen3-coder", "lfm2", "hermes"])
@pytest.mark.parametrize(
    "argument", [{"type": "integer"}, {"$ref": "#/$defs/x"}], ids=["plain", "reference"]
)
def test_definitions_are_not_multiplied(script: Script, name: str, argument: dict[str, str]) -> None:
    """A megabyte of definitions and hundreds of arguments: the grammar stops at its bound."""
    syntax = next(one for one in SYNTAXES if one.name == name)
    properties = {f"a{number}": argument for number in range(300)}
    parameters = {"type": "object", "properties": properties, "$defs": DEFINITIONS}
    function = Function.model_validate({"name": "f", "parameters": parameters})
    tracemalloc.start()
    try:
        calls_of(script, syntax).grammar(Offer(functions=[function]))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 30_000_000


def test_large_schemas_are_not_compiled_before_their_turn(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request is prepared without the compiler; too many strict characters are refused."""
    syntax = next(one for one in SYNTAXES if one.name == "hermes")
    calls = calls_of(script, syntax)
    words = {"enum": [f"word{number}" for number in range(20_000)]}
    parameters = {"type": "object", "properties": {"a": words}}

    def offer(*, is_strict: bool) -> Offer:
        functions = [
            Function.model_validate(
                {"name": f"f{number}", "parameters": parameters, "strict": is_strict}
            )
            for number in range(3)
        ]
        return Offer(functions=functions)

    monkeypatch.setattr(script.constraints, "enforceable", None)
    calls.grammar(offer(is_strict=False))
    with pytest.raises(Refusal) as refused:
        calls.grammar(offer(is_strict=True))
    assert (refused.value.status, refused.value.param) == (400, "tools")


def test_calls_with_a_tokenizer_that_adds_blanks(tmp_path: Path) -> None:
    """SentencePiece's blanks behind user-defined tokens, which stand in what every call must spell."""
    path = build_model(tmp_path / "blanks.gguf", user_defined=["argu", *HERMES_MARKS])
    llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    vocab = llama_cpp.llama_model_get_vocab(llama.model)
    vocabulary = Vocabulary(vocab)
    script = Script(vocabulary, Constraints(vocab, vocabulary))
    syntax = next(one for one in SYNTAXES if one.name == "hermes")
    calls, offer = calls_of(script, syntax), Offer(functions=FUNCTIONS_OFFERED)
    markup = Markup(triggers=calls.triggers(offer), is_lazy=True)

    ((_, text),) = script.spans(markup, calls, offer, calls.triggers(offer)["<tool_call>"])

    script.constraints._sandbox.close()
    llama.close()
    assert vocabulary.adds_blanks
    assert check(syntax, FUNCTIONS_OFFERED, text)
