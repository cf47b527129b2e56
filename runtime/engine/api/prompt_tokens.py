"""Makes a prompt's tokens from texts, tokens or messages; refuses prompts longer than the context.

A text that cannot fit is refused before time is spent on tokenizing it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runtime.engine import errors
from runtime.engine.api.schemas import ChatRequest, CompletionRequest, Message
from runtime.engine.api.shared_prefix import Mode, SharedPrefix
from runtime.engine.api.text_bounds import too_long
from runtime.engine.api.thinking import template_variables
from runtime.engine.generation.generation import Prompt
from runtime.engine.generation.model import GuardedLlama
from runtime.engine.generation.pictures import Placed
from runtime.engine.images.sent import SentImages
from runtime.engine.images.service import Images
from runtime.engine.templates.fields import texts_in
from runtime.engine.templates.prompt import Rendered

TAIL_CHARACTERS = 128


class Prompts:
    """Makes prompts for one model.

    Args:
        llama: the model.
        shared: LLAMA_SERVER_SHARED_PREFIX.
        images: reads images; None: messages are text.
    """

    def __init__(self, llama: GuardedLlama, shared: Mode, images: Images | None) -> None:
        self._llama = llama
        self._images = images
        self._n_ctx = llama.n_ctx()
        self._shared = SharedPrefix(shared, self._chat_tokens)

    def of_completion(self, request: CompletionRequest, given: str | list[int]) -> Prompt:
        """One prompt of a completion.

        Raises:
            Refusal: it is too long, or no prompt for this model.
        """
        vocabulary = self._llama.vocabulary
        if isinstance(given, list):
            if not vocabulary.holds(given):
                raise errors.invalid(
                    "prompt", f"prompt: tokens are whole numbers from 0 to {vocabulary.n_tokens - 1}."
                )
            tokens = given
        else:
            tokens = self._tokenize(given, "prompt", add_special=True)
        self._check_length(tokens, "prompt")
        echo = ""
        if request.echo and isinstance(given, str):
            echo = given
        elif request.echo:
            echo = vocabulary.join(tokens).decode("utf-8", "replace")
        n_shared = self._shared.of_completion(tokens)
        return Prompt(
            tokens=tokens,
            stops=request.stop,
            echo=echo,
            n_shared=n_shared,
            is_scored=request.echo and request.logprobs is not None,
        )

    def of_chat(self, request: ChatRequest, tools: list[dict[str, Any]]) -> Prompt:
        """A chat's prompt, with the tools that its template is given.

        Raises:
            Refusal: it is too long, or the model's template refuses it.
        """
        images = None
        if self._images is not None and any(isinstance(one.content, list) for one in request.messages):
            images = SentImages([one.model_dump(exclude_unset=True) for one in request.messages])
            if images.sent:
                messages = [Message.model_validate(one) for one in images.messages]
                request = request.model_copy(update={"messages": messages})
        self._check_contents(request)
        rendered = self._rendered(request, tools)
        tokens, placed = self._tokens(rendered, images)
        self._check_length(tokens, "messages")
        return Prompt(
            tokens=tokens,
            stops=[*request.stop, *self._llama.chat_template.stops],
            n_shared=self._shared.of_chat(request, tools, tokens),
            tail=rendered.text[-TAIL_CHARACTERS:],
            pictures=placed,
        )

    def _tokens(self, rendered: Rendered, images: SentImages | None) -> tuple[list[int], list[Placed]]:
        """The tokens of a chat, with those of its images, and where these are."""
        if self._images is None or images is None or not images.sent:
            return self._rendered_tokens(rendered), []
        texts = images.split(rendered.marked)
        begin, end = self._llama.vocabulary.surroundings() if rendered.add_special else ([], [])
        tokens, placed = list(begin), list[Placed]()
        for number, text in enumerate(texts):
            if text:
                tokens += self._rendered_tokens(replace(rendered, marked=text, add_special=False))
            for one in self._images.read(images.sent[number]) if number < len(images.sent) else ():
                if isinstance(one, list):
                    tokens += one
                else:
                    placed.append(Placed(len(tokens), one))
                    tokens += one.ids
                self._check_length(tokens, "messages")
        tokens += end
        if tokens and tokens[-1] < 0:
            raise errors.invalid("messages", "messages: a prompt cannot end with an image.")
        return tokens, placed

    def _chat_tokens(self, request: ChatRequest, tools: list[dict[str, Any]]) -> list[int]:
        return self._rendered_tokens(self._rendered(request, tools))

    def _rendered_tokens(self, rendered: Rendered) -> list[int]:
        self._check_bounds(rendered.text, "messages")
        return self._llama.chat_template.tokens(rendered)

    def _rendered(self, request: ChatRequest, tools: list[dict[str, Any]]) -> Rendered:
        template = self._llama.chat_template
        meant = template_variables(request, template.capabilities)
        return template.render(
            [message.model_dump(exclude_unset=True) for message in request.messages],
            tools=tools,
            tool_choice=request.tool_choice if isinstance(request.tool_choice, str) else None,
            variables={**meant, **request.chat_template_kwargs},
            add_generation_prompt=request.add_generation_prompt,
            continue_final_message=request.continue_final_message,
        )

    def _tokenize(self, text: str, param: str, *, add_special: bool) -> list[int]:
        self._check_bounds(text, param)
        return self._llama.vocabulary.tokenize(text, add_special=add_special, parse_special=True)

    def _check_contents(self, request: ChatRequest) -> None:
        """Refuse messages that cannot fit before they are rendered, which might take long.

        A template may leave out what a model thought before, but not so much that the rest would fit.
        """
        contents = [message.content for message in request.messages]
        n_bytes = sum(len(text.encode()) for text in texts_in(contents))
        if n_bytes > self._n_ctx * self._llama.vocabulary.longest_piece_bytes:
            raise errors.context_length_exceeded(
                has=f"{n_bytes} bytes", n_ctx=self._n_ctx, param="messages"
            )

    def _check_bounds(self, text: str, param: str) -> None:
        """Refuse a text that cannot fit before it is tokenized, which might take long."""
        has = too_long(self._llama.vocabulary, text, self._n_ctx)
        if has is not None:
            raise errors.context_length_exceeded(has=has, n_ctx=self._n_ctx, param=param)

    def _check_length(self, tokens: list[int], param: str) -> None:
        if len(tokens) >= self._n_ctx:
            raise errors.context_length_exceeded(
                has=f"{len(tokens)} tokens", n_ctx=self._n_ctx, param=param
            )
        if not tokens:
            raise errors.invalid(param, f"{param} must not be empty with this model.")
