"""Turns a request's body into generations.

All checks of a request happen here, before it waits for a slot. Every call may take long and belongs in
a worker thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runtime.engine import errors
from runtime.engine.api.body import parse, read_object, validated
from runtime.engine.api.generations import Generations, check_probabilities
from runtime.engine.api.prompt_tokens import Prompts
from runtime.engine.api.readers import ArgumentsReader, PlainReader, Reader
from runtime.engine.api.schemas import (
    MAX_PROMPTS,
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    Function,
    FunctionName,
    GenerationRequest,
    TokenizeRequest,
    Tool,
    ToolChoice,
)
from runtime.engine.api.shapes.chat import ChatShape
from runtime.engine.api.shapes.completion import Best, CompletionShape
from runtime.engine.api.shapes.shape import Form, Shape
from runtime.engine.generation.generation import Generation
from runtime.engine.generation.model import GuardedLlama
from runtime.engine.grammar.constraint import Grammar
from runtime.engine.settings import EngineSettings

MAX_SPECIAL_TOKENS = 16_384
"""Special tokens that a text for /extras/tokenize may contain. In prompts the context's length bounds
them."""


MakeShape = Callable[[Sequence[Generation], Form], Shape]


@dataclass(frozen=True)
class Prepared:
    """A request that has passed all checks."""

    generations: list[Generation]
    """One for each choice of the response."""
    readers: list[Reader]
    """One for each generation."""
    shape: Shape
    """How the response is written."""
    is_stream: bool
    grammar: Grammar | None
    """The grammar of the generations. The caller has to compile it, which may take seconds."""


class Preparation:
    """Prepares requests for one model."""

    def __init__(self, llama: GuardedLlama, settings: EngineSettings) -> None:
        self._llama = llama
        self._settings = settings
        self._n_ctx = llama.n_ctx()
        self._generations = Generations(llama, settings)
        self._prompts = Prompts(llama, settings.shared_prefix)
        self._names = _names(settings.model_alias)
        self._replaced_names = _names(settings.replaced_alias)
        self._replaced_until = time.monotonic() + settings.replaced_s

    def completion(self, body: bytes) -> Prepared:
        """Prepare a request to /v1/completions.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        request, sent = parse(CompletionRequest, body)
        self.check_model(request.model)
        if sent.get("suffix"):
            raise errors.not_supported("suffix", "suffix: this server does not fill in.")
        if len(request.prompts) * request.n_generated > MAX_PROMPTS:
            param = "n" if request.n == request.n_generated else "best_of"
            raise errors.invalid(
                param, f"{param}: at most {MAX_PROMPTS} responses to all prompts together."
            )
        is_choosing = request.n_generated > request.n
        top_logprobs = 0 if is_choosing and request.logprobs is None else request.logprobs
        grammar = self._grammar(request)
        generations: list[Generation] = []
        for given in request.prompts:
            prompt = self._prompts.of_completion(request, given)
            limits = self._generations.limits(request, prompt, request.max_tokens, top_logprobs)
            if request.echo and request.max_tokens == 0:
                limits = replace(limits, max_tokens=0)
            generations += self._generations.make(
                request,
                prompt,
                limits,
                number=request.n_generated,
                is_constrained=grammar is not None,
                first_index=len(generations),
            )
        check_probabilities(generations, self._n_ctx)
        return Prepared(
            generations=generations,
            readers=[PlainReader()] * len(generations),
            shape=CompletionShape(
                generations,
                self._form(request),
                reports_logprobs=request.logprobs is not None,
                best=Best(n=request.n, of=request.n_generated) if is_choosing else None,
            ),
            is_stream=request.stream,
            grammar=grammar,
        )

    def chat(self, body: bytes) -> Prepared:
        """Prepare a request to /v1/chat/completions.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        return self.chat_of(read_object(body), ChatShape)

    def chat_of(self, sent: dict[str, Any], shape: MakeShape) -> Prepared:
        """Prepare a chat that is not in bytes: every API that has messages comes down to this.

        Args:
            sent: the fields of a request to /v1/chat/completions.
            shape: makes the response's shape.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        request = validated(ChatRequest, sent)
        self.check_model(request.model)
        wanted = request.max_completion_tokens
        max_tokens = request.max_tokens if wanted is None else wanted
        function = _chosen(request)
        prompt = self._prompts.of_chat(request, _tools_shown(request, sent))
        if function is not None:
            # The function's schema determines where the call ends.
            prompt = replace(prompt, stops=())
        limits = self._generations.limits(
            request, prompt, max_tokens, request.top_logprobs if request.logprobs else None
        )
        form = replace(self._form(request), legacy_call=not request.tools)
        grammar = self._chat_grammar(request, function)
        generations = self._generations.make(
            request, prompt, limits, number=request.n, is_constrained=grammar is not None
        )
        check_probabilities(generations, self._n_ctx)
        return Prepared(
            generations=generations,
            readers=[
                PlainReader() if function is None else ArgumentsReader(function.name)
                for _ in generations
            ],
            shape=shape(generations, form),
            is_stream=request.stream,
            grammar=grammar,
        )

    def chat_tokens(self, sent: dict[str, Any]) -> int:
        """Count the tokens of a chat's prompt.

        Raises:
            Refusal: the chat could not be answered; says why.
        """
        request = validated(ChatRequest, sent)
        self.check_model(request.model)
        return len(self._prompts.of_chat(request, _tools_shown(request, sent)).tokens)

    def check_model(self, name: str | None) -> None:
        """Raise a Refusal if the request names another model, unless any name is accepted.

        For some time after a switch of models the former name is accepted too: the request may have
        been sent before the switch.
        """
        if not name or name in self._names or self._settings.any_model:
            return
        if name not in self._replaced_names or time.monotonic() > self._replaced_until:
            raise errors.model_not_found(self._settings.model_alias)

    def tokens(self, body: bytes) -> list[int]:
        """Return the tokens for a request to /extras/tokenize.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        request, _ = parse(TokenizeRequest, body)
        self.check_model(request.model)
        vocabulary = self._llama.vocabulary
        if vocabulary.names_special(request.input, more_than=MAX_SPECIAL_TOKENS):
            raise errors.invalid(
                "input", f"input: it must name no more than {MAX_SPECIAL_TOKENS} special tokens."
            )
        return vocabulary.tokenize(request.input, add_special=True, parse_special=True)

    def text(self, body: bytes) -> str:
        """Return the text for a request to /extras/detokenize.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        request, _ = parse(DetokenizeRequest, body)
        self.check_model(request.model)
        vocabulary = self._llama.vocabulary
        if not vocabulary.holds(request.tokens):
            raise errors.invalid(
                "tokens", f"tokens: they are whole numbers from 0 to {vocabulary.n_tokens - 1}."
            )
        return vocabulary.join(request.tokens).decode("utf-8", "replace")

    def _form(self, request: GenerationRequest) -> Form:
        include_usage = request.stream_options is not None and request.stream_options.include_usage
        return Form(model=self._settings.model_alias, include_usage=include_usage)

    def _grammar(self, request: GenerationRequest) -> Grammar | None:
        return None if request.grammar is None else self._llama.constraints.grammar(request.grammar)

    def _chat_grammar(self, request: ChatRequest, function: Function | None) -> Grammar | None:
        json_schema, form = self._llama.constraints.json_schema, request.response_format
        if function is not None:
            param = "tools" if request.tools else "functions"
            schema: Any = function.parameters or {"type": "object"}
            return json_schema(schema, param=param, strict=function.strict)
        if form.type == "text":
            return self._grammar(request)
        if request.grammar is not None:
            raise errors.invalid("grammar", "grammar: not together with response_format.")
        if form.json_schema is not None and form.type == "json_schema":
            schema, strict = form.json_schema.schema_, form.json_schema.strict
            return json_schema(schema, param="response_format", strict=strict)
        schema = {"type": "object"} if form.schema_ is None else form.schema_
        return json_schema(schema, param="response_format", strict=False)


def _names(alias: str) -> tuple[str, str]:
    """The names by which requests may call a model."""
    return alias, alias.removesuffix(".gguf")


def _tools_shown(request: ChatRequest, sent: dict[str, Any]) -> list[dict[str, Any]]:
    """The tools for the model's chat template, in the form in which the client sent them."""
    if request.tools:
        return [] if request.tool_choice == "none" else list(sent["tools"])
    if request.functions and request.function_call != "none":
        return [{"type": "function", "function": function} for function in sent["functions"]]
    return []


def _chosen(request: ChatRequest) -> Function | None:
    """The function that the request demands to be called; None if it names none."""
    if isinstance(request.tool_choice, ToolChoice) and request.tools:
        return _named(request.tool_choice.function.name, request.tools, "tool_choice")
    if isinstance(request.function_call, FunctionName):
        tools = [Tool(function=function) for function in request.functions]
        return _named(request.function_call.name, tools, "function_call")
    if isinstance(request.tool_choice, ToolChoice):
        raise errors.invalid("tool_choice", "tool_choice: there are no tools to choose from.")
    return None


def _named(name: str, tools: list[Tool], param: str) -> Function:
    for tool in tools:
        if tool.function.name == name:
            return tool.function
    raise errors.invalid(param, f"{param}: none of the functions has this name.")
