"""What a template can render, found by rendering small chats of unlikely words and looking for these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runtime.engine.templates.messages import REASONING
from runtime.engine.templates.template import Context, Message, Renderer, RenderError

_SHORT_ID = "Zq3xJ7vK0"
"""An id as Mistral's templates demand it: nine letters and digits."""
_LONG_ID = "call_zq0123456789"
_VALUE = "zqvalue"
NO_EFFORTS = ("none", "no_think")
"""Words of templates for no effort. They count where a template spells them."""
EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")
"""Values of `reasoning_effort` that clients send, in ascending order."""
_TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "zqtool",
            "description": "zqdescription",
            "parameters": {
                "type": "object",
                "properties": {"zqkey": {"type": "string", "description": "zqkeydescription"}},
                "required": ["zqkey"],
            },
        },
    },
)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a template renders by itself. What is false is rendered by `fallbacks.py`, except
    `assistant` and `tools`."""

    system: bool = True
    """A system message at the beginning."""
    systems: bool = True
    """System messages that follow another, and those between other messages."""
    system_alone: bool = True
    """A chat of one system message and nothing else."""
    assistant_first: bool = True
    """A chat that begins with a message of the assistant."""
    unanswered: bool = True
    """A user's message behind a call, without an answer of the assistant between them."""
    assistant: bool = True
    """Messages of the assistant. Where they are not rendered, they are refused."""
    consecutive: bool = True
    """Several messages of a user, or of the assistant, one after the other."""
    empty: bool = True
    """Messages of the assistant that say nothing."""
    tools: bool = True
    """Descriptions of the tools that are offered."""
    calls: bool = True
    """Calls of tools in the assistant's messages."""
    last_calls: bool = True
    """Calls in the last message of a chat."""
    calls_with_text: bool = True
    """Calls in a message that has text too, also when the answer follows."""
    null_content: bool = False
    """Calls are shown only in messages whose content is null."""
    parallel_calls: bool = True
    """Several calls in one message."""
    results: bool = True
    """Results of calls: the role `tool`."""
    string_arguments: bool = False
    """The arguments of calls are wanted as a text, not as an object."""
    short_ids: bool = False
    """The ids of calls are nine letters and digits."""
    parts: bool = False
    """Content is wanted as a list of parts, not as a text."""
    reasoning_field: str = ""
    """The name of the field that holds the assistant's reasoning; empty if it is not rendered."""
    reasons_before_calls: bool = False
    """Reasoning is rendered in messages with calls."""
    efforts: tuple[str, ...] = ()
    """The values of the variable `reasoning_effort` that the template takes, in ascending order."""
    variables: frozenset[str] = field(default_factory=frozenset)
    """What else the template reads: the names that `chat_template_kwargs` can set."""


def probe(renderer: Renderer, *, with_tools: bool) -> Capabilities:
    """The capabilities of a template, when tools are offered and when they are not."""
    probing = _Probing(renderer, Context(tools=_TOOLS) if with_tools else Context())
    probing.settle()
    call = probing.call
    return Capabilities(
        system=probing.shows(_system("zqs"), _user("zqu"), words=("zqs", "zqu")),
        systems=probing.shows_systems(),
        system_alone=probing.shows(_system("zqs"), words=("zqs",)),
        assistant_first=probing.shows(_assistant("zqb"), words=("zqb",)),
        unanswered=probing.shows(_user("zqa"), probing.called(), _user("zqb"), words=("zqa", "zqb")),
        assistant=probing.shows(_user("zqa"), _assistant("zqb"), _user("zqc"), words=("zqb",)),
        consecutive=probing.shows_consecutive(),
        empty=probing.shows(_user("zqa"), _assistant(""), _user("zqb"), words=("zqa", "zqb")),
        tools=with_tools and probing.shows(_user("zqu"), words=("zqtool", "zqdescription")),
        calls=probing.shows_calls(call),
        last_calls=probing.shows(_user("zqu"), call.message(), words=("zqtool", "zqkey", _VALUE)),
        calls_with_text=probing.shows_calls_with_text(call),
        null_content=call.content is None,
        parallel_calls=probing.shows_parallel_calls(),
        results=probing.shows_results(),
        string_arguments=call.is_text,
        short_ids=call.call_id == _SHORT_ID,
        parts=probing.parts,
        reasoning_field=probing.reasoning_field(),
        reasons_before_calls=any(map(probing.shows_reasoning_before_call, REASONING)),
        efforts=probing.efforts(),
        variables=renderer.variables,
    )


@dataclass(frozen=True)
class _CallForm:
    """A form in which a template may want calls."""

    content: str | None = ""
    is_text: bool = False
    call_id: str = _LONG_ID

    def message(self, *others: str, content: str | None = None) -> Message:
        """A message with a call, and with a call of each other value."""
        ids = [self.call_id, *(self.call_id[:-1] + str(number) for number, _ in enumerate(others))]
        calls = [
            _call(call_id, f'{{"zqkey": "{value}"}}' if self.is_text else {"zqkey": value})
            for call_id, value in zip(ids, (_VALUE, *others), strict=True)
        ]
        return {**_assistant(content or ""), "content": content or self.content, "tool_calls": calls}


_CALL_FORMS = [
    _CallForm(content, is_text, call_id)
    for content in ("", None)
    for call_id in (_LONG_ID, _SHORT_ID)
    for is_text in (False, True)
]


class _Probing:
    """Renders chats and tells what is found in the text."""

    def __init__(self, renderer: Renderer, context: Context) -> None:
        self._renderer = renderer
        self._context = context
        self.parts = False
        self.call = _CallForm()
        """The form in which calls are shown; the first where they are in none."""

    def settle(self) -> None:
        """Find the forms of content and calls for what is probed after that."""
        if not self.shows(_user("zqu"), words=("zqu",)):
            self.parts = True
            self.parts = self.shows(_user("zqu"), words=("zqu",))
        self.call = next(filter(self.shows_calls, _CALL_FORMS), _CALL_FORMS[0])

    def text(self, *messages: Message, context: Context | None = None) -> str:
        """The text; empty where the template refuses."""
        chat = [as_parts(message) for message in messages] if self.parts else messages
        try:
            return self._renderer.render(chat, context or self._context)
        except RenderError:
            return ""

    def shows(self, *messages: Message, words: Sequence[str]) -> bool:
        text = self.text(*messages)
        return all(word in text for word in words)

    def shows_systems(self) -> bool:
        after = self.shows(_system("zqs"), _system("zqt"), _user("zqu"), words=("zqs", "zqt", "zqu"))
        chat = (_user("zqa"), _assistant("zqb"), _system("zqs"), _user("zqu"))
        return after and self.shows(*chat, words=("zqa", "zqb", "zqs", "zqu"))

    def shows_consecutive(self) -> bool:
        chat = (_user("zqa"), _user("zqb"), _assistant("zqc"), _assistant("zqd"), _user("zqe"))
        return self.shows(*chat, words=("zqa", "zqb", "zqc", "zqd", "zqe"))

    def shows_calls(self, form: _CallForm, content: str = "") -> bool:
        """Whether calls of this form are shown, their arguments not as Python writes objects."""
        text = self.text(_user("zqu"), form.message(content=content), _result(form.call_id, "zqr"))
        words = ("zqtool", "zqkey", _VALUE, content)
        return all(word in text for word in words) and (form.is_text or f"'{_VALUE}'" not in text)

    def shows_calls_with_text(self, form: _CallForm) -> bool:
        """Whether the text beside a call is shown, before the answer and behind it."""
        called = (_user("zqu"), form.message(content="zqsaid"), _result(form.call_id, "zqr"))
        then = (*called, _assistant("zqa"), _user("zqb"))
        return self.shows_calls(form, "zqsaid") and self.shows(*then, words=("zqsaid", _VALUE, "zqa"))

    def shows_parallel_calls(self) -> bool:
        called = self.call.message("zqother")
        results = [
            _result(call["id"], f"zqr{number}") for number, call in enumerate(called["tool_calls"])
        ]
        words = ("zqtool", _VALUE, "zqother", "zqr0", "zqr1")
        return self.shows(_user("zqu"), called, *results, words=words)

    def called(self) -> Message:
        """A message with a call, or with one that has become text."""
        return self.call.message() if self.shows_calls(self.call) else _assistant("zqcall")

    def shows_results(self) -> bool:
        """Whether results are shown, after a call or after one that has become text."""
        chat = (_user("zqu"), self.called(), _result(self.call.call_id, "zqr"))
        then = (*chat, _assistant("zqa"), _user("zqb"))
        return self.shows(*chat, words=("zqr",)) and self.shows(*then, words=("zqr", "zqa", "zqb"))

    def reasoning_field(self) -> str:
        """The name under which the reasoning before a call, or before an answer, is shown."""
        for name in REASONING:
            answered = {**_assistant("zqa"), name: "zqreason"}
            if self.shows_reasoning_before_call(name):
                return name
            if self.shows(_user("zqu"), answered, words=("zqreason",)):
                return name
        return ""

    def shows_reasoning_before_call(self, name: str) -> bool:
        """Whether the reasoning of a message with a call is shown if its field has this name."""
        called = {**self.call.message(), name: "zqreason"}
        result = _result(self.call.call_id, "zqr")
        return self.shows(_user("zqu"), called, result, words=("zqreason",))

    def efforts(self) -> tuple[str, ...]:
        """The values of `reasoning_effort` with which the template renders, if it reads that."""
        if "reasoning_effort" not in self._renderer.variables:
            return ()
        spelled = [word for word in NO_EFFORTS if word in self._renderer.literals]
        return tuple(filter(self._renders_with, (*spelled, *EFFORTS)))

    def _renders_with(self, effort: str) -> bool:
        context = replace(self._context, variables={"reasoning_effort": effort})
        return bool(self.text(_user("zqu"), context=context))


def as_parts(message: Message) -> Message:
    """The message with its content as a list of one part, unless it is null."""
    if message["content"] is None:
        return message
    return {**message, "content": [{"type": "text", "text": message["content"]}]}


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def _system(content: str) -> Message:
    return {"role": "system", "content": content}


def _assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


def _call(call_id: str, arguments: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "zqtool", "arguments": arguments}}


def _result(call_id: str, content: str) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "name": "zqtool", "content": content}
