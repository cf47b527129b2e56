"""One chat on its way to a prompt: rendered, with what only looks like special tokens marked."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from runtime.engine import errors
from runtime.engine.templates.fields import replaced, texts_in
from runtime.engine.templates.marks import Marks, PrivateCharactersUsed, Specials
from runtime.engine.templates.messages import REASONING
from runtime.engine.templates.template import Context, Message, Renderer, RenderError


@dataclass(frozen=True)
class Rendered:
    """A prompt's text, in which what users wrote that looks like special tokens is marked."""

    marked: str
    marks: Marks = field(default_factory=Marks)
    add_special: bool = False

    @cached_property
    def text(self) -> str:
        """The text as it reads."""
        return self.marks.plain(self.marked)


class ChatPrompt:
    """One chat on its way to a prompt."""

    def __init__(
        self, renderer: Renderer, specials: Specials, chat: list[Message], context: Context
    ) -> None:
        self._renderer = renderer
        self._specials = specials
        self._chat = chat
        self._context = context
        variables = list(context.variables.values())
        self._texts = [
            *texts_in([list(map(_without_role, chat)), context.tools]),
            *texts_in(variables, frozenset()),
        ]
        self._end = ""

    def rendered(self, *, continues: bool) -> Rendered:
        spells = self._specials.are_in(self._texts)
        marks = self._marks() if spells or continues else Marks()
        if continues:
            self._end = marks.end
        text = self._text(self._chat, self._context)
        if spells:
            text = self._with_marks(text, marks)
        return Rendered(text, marks, self._renderer.add_special)

    def _marks(self) -> Marks:
        try:
            return self._specials.marks(self._texts, also=self._renderer.source)
        except PrivateCharactersUsed:
            raise errors.invalid(
                "messages",
                "messages: they have all of Unicode's private characters in them: leave some out.",
            ) from None

    def _with_marks(self, plain: str, marks: Marks) -> str:
        """The text with marks. A template that looks into texts must come to the same text with them."""
        spared = self._specials.user_defined
        first = self._marked(marks, spared)
        if first is not None and marks.plain(first) == plain:
            return first
        second = self._marked(marks, spared | self._inspected(plain, marks, spared))
        if second is not None and (first is None or marks.plain(second) == plain):
            return second
        if first is None:
            raise _refused("a text in them spells marks of the template")
        return first

    def _inspected(self, plain: str, marks: Marks, spared: frozenset[str]) -> frozenset[str]:
        """The special tokens that the template looks for in the assistant's texts, as for `</think>`."""
        own = [one[name] for one in self._chat for name in one if _is_own(one, name)]
        spelled = self._specials.spelled(texts_in(own)) - spared
        source = self._renderer.source
        found = set()
        for special in [text for text in spelled if text in source]:
            everything = frozenset(self._specials.texts)
            text = self._marked(marks, everything - {special}, everything)
            if text is None or marks.plain(text) != plain:
                found.add(special)
        return frozenset(found)

    def _marked(
        self, marks: Marks, spared: frozenset[str], elsewhere: frozenset[str] = frozenset()
    ) -> str | None:
        """The text of the marked chat: `spared` of the assistant's texts, `elsewhere` of all others."""

        def change(text: str) -> str:
            return self._specials.marked(text, marks, elsewhere, heads=not elsewhere)

        def change_own(text: str) -> str:
            return self._specials.marked(text, marks, spared, heads=not elsewhere)

        chat = [
            {
                name: value
                if name == "role"
                else replaced(value, change_own if _is_own(message, name) else change)
                for name, value in message.items()
            }
            for message in self._chat
        ]
        context = Context(
            tools=replaced(self._context.tools, change),
            tool_choice=self._context.tool_choice,
            add_generation_prompt=self._context.add_generation_prompt,
            variables={
                name: replaced(value, change, frozenset())
                for name, value in self._context.variables.items()
            },
        )
        try:
            return self._text(chat, context)
        except errors.Refusal:
            return None

    def _text(self, chat: list[Message], context: Context) -> str:
        if self._end:
            chat = [*chat[:-1], _ended(chat[-1], self._end)]
        try:
            text = self._renderer.render(chat, context)
        except RenderError as error:
            raise _refused(str(error)) from error
        if not self._end:
            return text
        text, end, rest = text.partition(self._end)
        if not end or self._end in rest:
            raise errors.not_supported(
                "continue_final_message",
                "continue_final_message: this model's chat template cannot continue a message.",
            )
        return text


def _is_own(message: Message, name: str) -> bool:
    """Whether a field has text that a model may have written with special tokens: its own."""
    return message["role"] == "assistant" and name in ("content", *REASONING)


def _without_role(message: Message) -> Message:
    return {name: value for name, value in message.items() if name != "role"}


def _ended(message: Message, end: str) -> Message:
    """The message with a mark at the end of its content."""
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": content + end}
    last = content[-1]
    return {**message, "content": [*content[:-1], {**last, "text": last["text"] + end}]}


def _refused(reason: str) -> errors.Refusal:
    return errors.invalid("messages", f"The model's chat template refuses the messages: {reason}.")
