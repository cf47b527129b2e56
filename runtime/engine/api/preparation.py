"""Turns a request's body into generations.

All checks of a request happen here, before it waits for a slot. Every call may take long and belongs in
a worker thread.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from runtime.engine import errors
from runtime.engine.api.body import parse, read_object, validated
from runtime.engine.api.chats import Chats, MakeShape
from runtime.engine.api.generations import Generations, check_probabilities
from runtime.engine.api.prepared import Prepared
from runtime.engine.api.prompt_tokens import Prompts
from runtime.engine.api.readers import PlainReader
from runtime.engine.api.schemas import MAX_PROMPTS, ChatRequest, CompletionRequest, GenerationRequest
from runtime.engine.api.shapes.chat import ChatShape
from runtime.engine.api.shapes.completion import Best, CompletionShape
from runtime.engine.api.shapes.fingerprint import fingerprint
from runtime.engine.api.shapes.shape import Form
from runtime.engine.generation.generation import Generation
from runtime.engine.generation.model import GuardedLlama
from runtime.engine.grammar.constraint import Grammar
from runtime.engine.images.service import Images
from runtime.engine.settings import EngineSettings
from runtime.engine.vocabulary import Vocabulary


class Preparation:
    """Prepares requests for one model."""

    def __init__(
        self, llama: GuardedLlama, settings: EngineSettings, images: Images | None = None
    ) -> None:
        self._llama = llama
        self._settings = settings
        self._n_ctx = llama.n_ctx()
        self._generations = Generations(llama, settings)
        self._prompts = Prompts(llama, settings.shared_prefix, images)
        self.reads_images = images is not None
        self._chats = Chats(llama, self._prompts, self._generations)
        self._fingerprint = fingerprint(settings.model_path)
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

    def chat_of(
        self, sent: dict[str, Any], shape: MakeShape, *, format_param: str = "response_format"
    ) -> Prepared:
        """Prepare a chat that is not in bytes: every API that has messages comes down to this.

        Args:
            sent: the fields of a request to /v1/chat/completions.
            shape: makes the response's shape.
            format_param: the field that the response's format came in, for errors.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        request = validated(ChatRequest, sent)
        self.check_model(request.model)
        return self._chats.prepare(request, sent, shape, self._form(request), format_param=format_param)

    def chat_tokens(self, sent: dict[str, Any]) -> int:
        """Count the tokens of a chat's prompt.

        Raises:
            Refusal: the chat could not be answered; says why.
        """
        request = validated(ChatRequest, sent)
        self.check_model(request.model)
        return len(self._chats.prompt(request, sent).tokens)

    def check_model(self, name: str | None) -> None:
        """Raise a Refusal if the request names another model, unless any name is accepted.

        For some time after a switch of models the former name is accepted too: the request may have
        been sent before the switch.
        """
        if not name or name in self._names or self._settings.any_model:
            return
        if name not in self._replaced_names or time.monotonic() > self._replaced_until:
            raise errors.model_not_found(self._settings.model_alias)

    def vocabulary_of(self, name: str | None) -> Vocabulary:
        """The model's vocabulary.

        Raises:
            Refusal: the name is another model's.
        """
        self.check_model(name)
        return self._llama.vocabulary

    def _form(self, request: GenerationRequest) -> Form:
        include_usage = request.stream_options is not None and request.stream_options.include_usage
        return Form(
            model=self._settings.model_alias,
            fingerprint=self._fingerprint,
            include_usage=include_usage,
        )

    def _grammar(self, request: GenerationRequest) -> Grammar | None:
        return None if request.grammar is None else self._llama.constraints.grammar(request.grammar)


def _names(alias: str) -> tuple[str, str]:
    """The names by which requests may call a model."""
    return alias, alias.removesuffix(".gguf")
