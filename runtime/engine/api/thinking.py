"""What a model thinks before it answers: how its chat template marks it, how a request bounds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runtime.engine.api.schemas import ChatRequest
from runtime.engine.generation.marks.markup import Thinking
from runtime.engine.templates.capabilities import EFFORTS, NO_EFFORTS, Capabilities
from runtime.engine.vocabulary import Vocabulary

_HARMONY = "<|channel|>analysis<|message|>"


@dataclass(frozen=True)
class _Marks:
    start: str
    end: str


_TABLE = (
    _Marks(_HARMONY, "<|end|>"),
    _Marks("<|channel>thought", "<channel|>"),
    _Marks("<seed:think>", "</seed:think>"),
    _Marks("[THINK]", "[/THINK]"),
    _Marks("<|START_THINKING|>", "<|END_THINKING|>"),
    _Marks("<|inner_prefix|>", "<|inner_suffix|>"),
    _Marks("<think>", "</think>"),
)
_SWITCHES = ("enable_thinking", "thinking")
"""The names that templates have for a variable that turns thinking off."""


class ModelThinking:
    """The thinking of one model.

    Args:
        template: the source of its chat template.
        vocabulary: the model's.
    """

    def __init__(self, template: str, vocabulary: Vocabulary) -> None:
        self._marks = _recognised(template)
        if self._marks is None:
            return
        marks = self._marks
        self.shown = vocabulary.shown((marks.start, marks.end))
        """The texts of the control tokens that are marks."""
        self._opening = vocabulary.mark(marks.start)
        self._closing = vocabulary.mark(marks.end)
        self._after = [] if marks.start == _HARMONY else vocabulary.continuing("\n\n")

    @property
    def is_known(self) -> bool:
        """Whether the template marks thinking."""
        return self._marks is not None

    def of_response(self, request: ChatRequest, prompt_text: str, *, is_constrained: bool) -> Thinking:
        """The thinking in the response to a prompt. The template must mark thinking.

        Args:
            request: says how much of it there may be.
            prompt_text: of the chat; it may end with the start of thinking.
            is_constrained: whether a constraint holds from the response's beginning.
        """
        marks = self._marks
        assert marks is not None
        budget = 0 if request.reasoning_effort == "none" else request.reasoning_budget
        is_harmony = marks.start == _HARMONY
        return Thinking(
            starts=(marks.start,),
            ends=(marks.end,),
            is_open=_is_open(marks, request, prompt_text),
            is_forced=is_harmony and is_constrained,
            budget=budget,
            opening=self._opening if is_constrained and budget != 0 else (),
            closing=self._closing,
            after=self._after,
        )


def _is_open(marks: _Marks, request: ChatRequest, prompt_text: str) -> bool:
    """Whether the response begins within thinking."""
    if not request.continue_final_message:
        return prompt_text.rstrip().endswith(marks.start)
    content = request.messages[-1].content
    return isinstance(content, str) and content.rfind(marks.start) > content.rfind(marks.end)


def _recognised(template: str) -> _Marks | None:
    """The marks of thinking in a template's source; one may name the end only."""
    return next((one for one in _TABLE if one.end in template and _is_marked(one, template)), None)


def _is_marked(marks: _Marks, template: str) -> bool:
    return marks.start != _HARMONY or ("<|channel|>" in template and "analysis" in template)


def template_variables(request: ChatRequest, able: Capabilities) -> dict[str, Any]:
    """What a request's `reasoning_effort` and budget mean for the variables that a template reads.

    Args:
        request: the request.
        able: what the template takes.
    """
    variables: dict[str, Any] = {}
    effort = request.reasoning_effort
    if effort is not None and able.efforts:
        variables["reasoning_effort"] = _nearest(effort, able.efforts)
    if effort == "none" or request.reasoning_budget == 0:
        variables |= dict.fromkeys((name for name in _SWITCHES if name in able.variables), False)
    return variables


def _nearest(effort: str, taken: Sequence[str]) -> str:
    """The effort, or the next lower one that a template takes, or its lowest."""
    none = [word for word in NO_EFFORTS if word in taken]
    others = [word for word in EFFORTS if word in taken]
    if effort == "none":
        return none[0] if none else "low" if "low" in others else others[0]
    lower = [word for word in others if EFFORTS.index(word) <= EFFORTS.index(effort)]
    return lower[-1] if lower else (others or none)[0]
