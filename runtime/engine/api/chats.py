"""Prepares chats: what a request's messages, tools and response format mean for the generation.

Every API that has messages comes down to this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runtime.engine import errors
from runtime.engine.api.generations import Generations, check_probabilities
from runtime.engine.api.prepared import Prepared
from runtime.engine.api.prompt_tokens import Prompts
from runtime.engine.api.readers import MarkedReader, PlainReader, Reader
from runtime.engine.api.schemas import ChatRequest, Message, ResponseFormat
from runtime.engine.api.shapes.shape import Form, Shape
from runtime.engine.api.thinking import ModelThinking
from runtime.engine.api.tools.calls import Calls
from runtime.engine.api.tools.grammar import Content
from runtime.engine.api.tools.offer import Offer, offer, shown_tools
from runtime.engine.generation.generation import Generation, Prompt
from runtime.engine.generation.marks.markup import Markup
from runtime.engine.generation.model import GuardedLlama
from runtime.engine.grammar.constraint import Grammar

MakeShape = Callable[[Sequence[Generation], Form], Shape]


@dataclass(frozen=True, kw_only=True)
class _Rules:
    """What the response must be, and which calls it may have."""

    grammar: Grammar | None = None
    offer: Offer | None = None
    is_lazy: bool = False
    """Whether the grammar holds from the beginning of a call only."""
    has_content: bool = True
    """Whether the response may be something else than calls."""


class Chats:
    """Prepares chats for one model."""

    def __init__(self, llama: GuardedLlama, prompts: Prompts, generations: Generations) -> None:
        self._constraints = llama.constraints
        self._n_ctx = llama.n_ctx()
        self._prompts = prompts
        self._generations = generations
        template, vocabulary = llama.chat_template, llama.vocabulary
        self._thinking = ModelThinking(template.source, vocabulary)
        self._calls = Calls(
            template.source,
            renders_tools=template.capabilities.tools,
            vocabulary=vocabulary,
            constraints=llama.constraints,
        )

    def prepare(
        self,
        request: ChatRequest,
        sent: dict[str, Any],
        make_shape: MakeShape,
        form: Form,
        *,
        format_param: str,
    ) -> Prepared:
        """Prepare a chat.

        Args:
            request: the checked request.
            sent: its fields as they were sent.
            make_shape: makes the shape of the response.
            form: what the request asks of that.
            format_param: the field that the response's format came in.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        rules = self._rules(request, format_param)
        prompt = self._prompt(request, sent, rules.offer)
        wanted = request.max_completion_tokens
        limits = self._generations.limits(
            request,
            prompt,
            request.max_tokens if wanted is None else wanted,
            request.top_logprobs if request.logprobs else None,
        )
        is_constrained = rules.grammar is not None
        generations = self._generations.make(
            request, prompt, limits, number=request.n, is_constrained=is_constrained
        )
        check_probabilities(generations, self._n_ctx)
        markup = self._markup(request, prompt, rules)
        for generation in generations:
            generation.markup = markup
        is_legacy = rules.offer is not None and rules.offer.is_legacy
        return Prepared(
            generations=generations,
            readers=[self._reader(markup, rules.offer) for _ in generations],
            shape=make_shape(generations, replace(form, legacy_call=is_legacy)),
            is_stream=request.stream,
            grammar=rules.grammar,
        )

    def prompt(self, request: ChatRequest, sent: dict[str, Any]) -> Prompt:
        """The prompt of a chat; `sent` has the request's fields as they were sent.

        Raises:
            Refusal: it is too long, or the model's template refuses it.
        """
        return self._prompt(request, sent, offer(request))

    def _prompt(self, request: ChatRequest, sent: dict[str, Any], offered: Offer | None) -> Prompt:
        tools = shown_tools(request, sent)
        if offered is not None and not self._calls.is_native:
            given = [message.model_dump(exclude_unset=True) for message in request.messages]
            messages = [Message.model_validate(one) for one in self._calls.described(given, tools)]
            request, tools = request.model_copy(update={"messages": messages}), []
        return self._prompts.of_chat(request, tools)

    def _rules(self, request: ChatRequest, format_param: str) -> _Rules:
        offered, form = offer(request), request.response_format
        if form.type != "text" and request.grammar is not None:
            raise errors.invalid("grammar", "grammar: not together with response_format.")
        if offered is not None and offered.is_required:
            if request.grammar is not None:
                raise errors.invalid("grammar", "grammar: not together with a demand for a call.")
            return _Rules(grammar=self._calls.grammar(offered), offer=offered, has_content=False)
        if request.grammar is not None:
            return _Rules(grammar=self._constraints.grammar(request.grammar))
        if form.type == "text":
            if offered is None:
                return _Rules()
            return _Rules(grammar=self._calls.grammar(offered), offer=offered, is_lazy=True)
        schema, is_strict = _format_schema(form)
        only_json = self._constraints.json_schema(schema, param=format_param, strict=is_strict)
        if offered is None or isinstance(schema, bool):
            return _Rules(grammar=only_json)
        assert only_json.schema is not None
        content = Content(schema=only_json.schema, is_strict=is_strict, param=format_param)
        return _Rules(grammar=self._calls.grammar(offered, content=content), offer=offered)

    def _markup(self, request: ChatRequest, prompt: Prompt, rules: _Rules) -> Markup | None:
        """The marks in the response; None if there are none."""
        thinking, calls = None, self._calls
        shown: dict[int, bytes] = {}
        if self._thinking.is_known:
            thinking = self._thinking.of_response(
                request,
                prompt.tail,
                is_constrained=rules.grammar is not None and not rules.is_lazy,
            )
            shown |= self._thinking.shown
        syntax = calls.syntax
        has_dropped = calls.is_native and bool(syntax.dropped or syntax.dropped_first)
        if thinking is None and rules.offer is None and not has_dropped:
            return None
        triggers = {}
        if rules.offer is not None and rules.has_content:
            triggers = calls.triggers(rules.offer)
        return Markup(
            thinking=thinking,
            triggers=triggers,
            starts_only=syntax.starts_only or not rules.is_lazy,
            is_lazy=rules.is_lazy,
            begins_call=not rules.has_content,
            dropped=syntax.dropped,
            dropped_first=syntax.dropped_first,
            shown=shown | calls.shown if rules.offer is not None or has_dropped else shown,
        )

    def _reader(self, markup: Markup | None, offered: Offer | None) -> Reader:
        if markup is None:
            return PlainReader()
        return MarkedReader(None if offered is None else self._calls.parser(offered))


def _format_schema(form: ResponseFormat) -> tuple[dict[str, Any] | bool, bool]:
    """The schema of a response format that is not text, and whether it is strict."""
    if form.json_schema is not None and form.type == "json_schema":
        return form.json_schema.schema_, form.json_schema.strict
    return {"type": "object"} if form.schema_ is None else form.schema_, False
