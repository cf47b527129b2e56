"""Text beside calls: templates that drop it, or take it for something else, show it all the same."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.runtime.engine.templates.conftest import Make
from tests.runtime.engine.templates.test_chat_template import call, said

ALTERNATING = (
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% if m.role != 'tool' and not m.tool_calls %}"
    "{% if (m.role == 'user') != (ns.n % 2 == 0) %}{{ raise_exception('roles must alternate') }}"
    "{% endif %}{% set ns.n = ns.n + 1 %}{% endif %}{% if m.tool_calls %}[CALL "
    "{% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}]{% else %}"
    "[{{ m.role }} {{ m.content }}]{% endif %}{% endfor %}"
)
"""Messages with calls do not count, and their text is dropped, as in Mistral's."""
FORGETFUL = (
    "{% for m in messages %}{% set answered = messages[loop.index:] | selectattr('role', 'equalto', "
    "'assistant') | rejectattr('tool_calls') | list %}{% if m.tool_calls %}"
    "{% if m.content and m.thinking %}{{ raise_exception('both') }}{% endif %}"
    "{% if not answered %}<think>{{ m.content or m.thinking }}</think>{% endif %}"
    "{% for c in m.tool_calls %}[CALL {{ c.function | tojson }}]{% endfor %}"
    "{% else %}[{{ m.role }} {{ m.content }}]{% endif %}{% endfor %}"
)
"""Text beside calls counts as reasoning, and reasoning is dropped once the answer is there."""


def turns(*, answered: bool, **more: Any) -> list[dict[str, Any]]:
    """A chat with two calls, one after the other, each with text beside it."""
    chat = [
        said("user", "word1"),
        said("assistant", "word2", tool_calls=[call(1, {"a": "word3"})], **more),
        said("tool", "word4", tool_call_id="call_1"),
        said("assistant", "word5", tool_calls=[call(2, {"a": "word6"})], **more),
        said("tool", "word7", tool_call_id="call_2"),
    ]
    return [*chat, said("assistant", "word8"), said("user", "word9")] if answered else chat


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("source", [ALTERNATING, FORGETFUL], ids=["alternating", "forgetful"])
def test_no_text_beside_a_call_vanishes(made: Make, source: str, answered: bool) -> None:
    """Before the answer and behind it; the calls keep their order and their results."""
    text = made(source).render(turns(answered=answered)).text

    found = re.findall(r"word\d", text)
    assert sorted(found) == [f"word{number}" for number in range(1, 10 if answered else 8)]
    calls = [word for word in found if word in ("word3", "word4", "word6", "word7")]
    assert calls == ["word3", "word4", "word6", "word7"]


def test_the_text_stands_where_the_answer_is(made: Make) -> None:
    """Where messages alternate, the assistant's texts of a turn are one: the answer, if it is there."""
    template = made(ALTERNATING)

    assert "word2\n\nword5\n\nword8]" in template.render(turns(answered=True)).text
    assert template.render(turns(answered=False)).text.startswith(
        "[user word1][assistant word2\n\nword5][CALL"
    )


def test_reasoning_stays_with_the_call(made: Make) -> None:
    """A template that shows reasoning before calls alone, and never beside text, is given both."""
    text = made(FORGETFUL).render(turns(answered=False, reasoning_content="why")[:3]).text

    assert text == (
        '[user word1][assistant word2]<think>why</think>[CALL {"name": "add1", "arguments": '
        '{"a": "word3"}}][tool word4]'
    )


WAITING = (
    "{% for m in messages %}{% if m.tool_calls %}{% if not loop.last %}"
    "[CALL {% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}]{% endif %}"
    "{% else %}[{{ m.role }} {{ m.content }}]{% endif %}{% endfor %}"
)
"""Calls are written with what follows them, as in Nemotron's."""


def test_a_call_at_the_end_of_a_chat_does_not_vanish(made: Make) -> None:
    """It becomes text there; elsewhere it stays a call."""
    template = made(WAITING)
    chat = turns(answered=False)

    last = template.render(chat[:4]).text
    assert last.endswith(
        '[assistant word5\n<tool_call>\n{"name": "add2", "arguments": {"a": "word6"}}\n</tool_call>]'
    )
    assert "<tool_call>" not in template.render(chat).text
