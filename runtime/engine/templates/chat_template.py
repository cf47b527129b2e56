"""The chat template that a loaded model is served with: which one that is, and prompts by it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jinja2

from runtime.engine import errors
from runtime.engine.templates.capabilities import Capabilities, probe
from runtime.engine.templates.fallbacks import adapted
from runtime.engine.templates.marks import Specials
from runtime.engine.templates.messages import argument_texts, normalised, too_deep
from runtime.engine.templates.named import NamedFormat
from runtime.engine.templates.prompt import ChatPrompt, Rendered
from runtime.engine.templates.results import with_results_in_place
from runtime.engine.templates.template import (
    RESERVED,
    Context,
    JinjaTemplate,
    Message,
    Renderer,
    RenderError,
)
from runtime.engine.templates.tool_forms import tool_forms
from runtime.engine.vocabulary import Vocabulary

logger = logging.getLogger(__name__)
DEFAULT = "tokenizer.chat_template"
_WITHOUT_TEMPLATE = "llama-2"
_CHATML_MARK = "<|im_start|>"


def check_chat_format(name: str) -> None:
    """Check a format's name before a model is loaded, which takes long.

    Raises:
        ChatTemplateError: there is no such format, unless it is one of the model's templates.
    """
    if not name.startswith("chat_template"):
        _named(name)


class ChatTemplateError(Exception):
    """The model's template cannot be used. The text says what to do."""


@dataclass(frozen=True, kw_only=True)
class _Face:
    """A template as it is used, either with tools or without."""

    renderer: Renderer
    able: Capabilities


class ChatTemplate:
    """Makes prompts for one model. Thread-safe.

    Args:
        metadata: the GGUF file's, by name.
        vocabulary: the model's. Tokens that end a turn in this template become ends of responses there.
        chat_format: LLAMA_SERVER_CHAT_FORMAT: the name of one of llama-cpp-python's formats, or of one
            of the file's templates (`chat_template.NAME`); None: the file's own.

    Raises:
        ChatTemplateError: there is no such format, or the template does not compile.
    """

    def __init__(
        self, metadata: Mapping[str, str], vocabulary: Vocabulary, chat_format: str | None
    ) -> None:
        self._vocabulary = vocabulary
        self._templates = {
            name.removeprefix("tokenizer."): source
            for name, source in metadata.items()
            if name == DEFAULT or name.startswith(DEFAULT + ".")
        }
        plain = self._chosen(chat_format)
        with_tools = self._for_tools() if chat_format is None else None
        self._plain = _Face(renderer=plain, able=probe(plain, with_tools=False))
        with_tools = with_tools or plain
        self._with_tools = _Face(renderer=with_tools, able=probe(with_tools, with_tools=True))
        self.stops = self._end_turns()
        """Texts that end a turn in a named format and are no tokens of this vocabulary."""
        literals = plain.literals | with_tools.literals
        self._specials = Specials(vocabulary, self._written(), literals)

    @property
    def source(self) -> str:
        """The template's text; empty for a named format."""
        return self._with_tools.renderer.source

    @property
    def capabilities(self) -> Capabilities:
        """What the template can render when tools are offered."""
        return self._with_tools.able

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: str | None = None,
        variables: Mapping[str, Any] | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
    ) -> Rendered:
        """The prompt for a chat. Needs no lock; may take long for long chats.

        Args:
            messages: as OpenAI's API has them.
            tools: the tools that are offered.
            tool_choice: the choice, if it is a word.
            variables: a request's `chat_template_kwargs`.
            add_generation_prompt: whether the text ends with the beginning of the assistant's turn.
            continue_final_message: whether it ends within the last message, which is to be continued.

        Raises:
            Refusal: a message is not one for this model, or its template says so.
        """
        variables = dict(variables or {})
        _check_variables(variables)
        face = self._with_tools if tools else self._plain
        chat = _for_template(messages, face.able, continues=continue_final_message)
        context = Context(
            tool_choice=tool_choice,
            add_generation_prompt=add_generation_prompt and not continue_final_message,
            variables=variables,
        )
        prompts = (
            ChatPrompt(face.renderer, self._specials, chat, replace(context, tools=form))
            for form in tool_forms(tools)
        )
        return _first_rendered(prompts, continues=continue_final_message)

    def tokens(self, rendered: Rendered) -> list[int]:
        """The tokens of a prompt: what users wrote is text, whatever it spells."""
        return self._specials.tokenize(rendered.marked, rendered.marks, add_special=rendered.add_special)

    def _chosen(self, chat_format: str | None) -> Renderer:
        if chat_format in self._templates:
            return self._compiled(str(chat_format))
        if chat_format is not None:
            return _named(chat_format)
        if not self._templates:
            name = "chatml" if _CHATML_MARK in self._vocabulary.controls else _WITHOUT_TEMPLATE
            logger.warning(
                "the model has no chat template: chats are rendered in the format %s; "
                "LLAMA_SERVER_CHAT_FORMAT chooses another",
                name,
            )
            return _named(name)
        if "chat_template" in self._templates:
            return self._compiled("chat_template")
        name = min(self._templates)
        logger.warning("the model has no default chat template: %s is used", name)
        return self._compiled(name)

    def _for_tools(self) -> Renderer | None:
        """The template that the file has for chats with tools, if it has one of its own."""
        name = "chat_template.tool_use"
        if name not in self._templates:
            return None
        try:
            return self._compiled(name)
        except ChatTemplateError as error:
            logger.warning("%s It is not used.", error)
            return None

    def _compiled(self, name: str) -> Renderer:
        try:
            return JinjaTemplate(
                self._templates[name],
                bos_token=self._vocabulary.bos_text,
                eos_token=self._vocabulary.eos_text,
            )
        except (jinja2.TemplateError, RecursionError) as error:
            line = getattr(error, "lineno", None)
            where = f" (line {line})" if line else ""
            raise ChatTemplateError(
                f"the model's chat template (tokenizer.{name}) does not compile: {error}{where}. Set "
                "LLAMA_SERVER_CHAT_FORMAT to a named format, such as chatml, or take another file."
            ) from error

    def _written(self) -> str:
        """What the template writes by itself, as far as small chats show it."""
        chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        try:
            shown = self._plain.renderer.render(chat, Context())
        except RenderError:
            shown = ""
        return self._plain.renderer.source + self._with_tools.renderer.source + shown

    def _end_turns(self) -> list[str]:
        """Have the tokens that end a turn end responses. Returns the texts that are no tokens."""
        controls = self._vocabulary.controls
        if isinstance(self._plain.renderer, NamedFormat):
            stops = self._plain.renderer.stops()
            for stop in stops:
                if stop.strip() in controls:
                    self._vocabulary.add_end(controls[stop.strip()])
            return [stop for stop in stops if stop.strip() not in controls]
        token = _turn_end(self._plain.renderer, self._vocabulary)
        if token is not None:
            self._vocabulary.add_end(token)
        return []


def _check_variables(variables: Mapping[str, Any]) -> None:
    if taken := sorted(RESERVED & variables.keys()):
        raise errors.invalid(
            "chat_template_kwargs",
            f"chat_template_kwargs: {taken[0]} cannot be set there: leave it out.",
        )
    if too_deep(variables):
        raise errors.invalid("chat_template_kwargs", "chat_template_kwargs is nested too deep.")


def _check_roles(chat: Sequence[Message], able: Capabilities, *, continues: bool) -> None:
    if continues and (chat[-1]["role"] != "assistant" or "tool_calls" in chat[-1]):
        raise errors.invalid(
            "continue_final_message",
            "continue_final_message: the last message must be the assistant's, without calls.",
        )
    said = next((at for at, one in enumerate(chat) if one["role"] == "assistant"), None)
    if said is not None and not able.assistant:
        raise errors.not_supported(
            f"messages[{said}].role",
            f"messages[{said}].role: this model's chat template leaves the assistant out.",
        )


def _for_template(
    messages: Sequence[Mapping[str, Any]], able: Capabilities, *, continues: bool
) -> list[Message]:
    """The messages in the form that a template takes."""
    chat = normalised(messages)
    _check_roles(chat, able, continues=continues)
    if able.string_arguments:
        chat = argument_texts(messages, chat)
    return adapted(with_results_in_place(chat), able)


def _first_rendered(prompts: Iterable[ChatPrompt], *, continues: bool) -> Rendered:
    """The first prompt that its template renders; the refusal of the first one, if it renders none."""
    refusals = []
    for prompt in prompts:
        try:
            return prompt.rendered(continues=continues)
        except errors.Refusal as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _turn_end(renderer: Renderer, vocabulary: Vocabulary) -> int | None:
    """The token behind the assistant's text, if the template knows none of the file's end tokens."""
    known = [text for text, token in vocabulary.controls.items() if vocabulary.is_end(token)]
    if "eos_token" in renderer.source or any(text in renderer.source for text in known):
        return None
    chat = [
        {"role": role, "content": f"zq{role}{number}"}
        for number, role in enumerate(("user", "assistant", "user"))
    ]
    try:
        text = renderer.render(chat, Context())
    except RenderError:
        return None
    between = text.partition("zqassistant1")[2].partition("zquser2")[0]
    found = [(between.find(text), -len(text), text) for text in vocabulary.controls if text in between]
    return vocabulary.controls[min(found)[2]] if found else None


def _named(name: str) -> Renderer:
    try:
        return NamedFormat(name)
    except ValueError as error:
        raise ChatTemplateError(f"LLAMA_SERVER_CHAT_FORMAT: {error}") from error
