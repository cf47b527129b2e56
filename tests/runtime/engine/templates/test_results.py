"""Results of calls where clients put them, and chats that lack a turn which a template demands."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.engine.templates.messages import normalised
from runtime.engine.templates.results import with_results_in_place
from tests.runtime.engine.templates.conftest import Make
from tests.runtime.engine.templates.test_chat_template import call, said
from tests.runtime.engine.templates.test_text_and_calls import ALTERNATING

ASKED = said("user", "word1")
CALLED = said("assistant", None, tool_calls=[call(1), call(2)])
FIRST = said("tool", "word2", tool_call_id="call_1")
SECOND = said("tool", "word3", tool_call_id="call_2")
STRICT = (
    "{% if not messages | selectattr('role', 'equalto', 'user') | list %}"
    "{{ raise_exception('no user query') }}{% endif %}{% for m in messages %}"
    "{% if m.role == 'tool' and messages[loop.index0 - 1].role not in ('assistant', 'tool') %}"
    "{{ raise_exception('no call before the result') }}{% endif %}"
    "{% if m.role == 'assistant' and loop.first %}{{ raise_exception('user first') }}{% endif %}"
    "[{{ m.role }} {{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}"
    "{% endfor %}]{% endfor %}"
)


def placed(*chat: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in with_results_in_place(normalised(chat))]


@pytest.mark.parametrize(
    "chat",
    [
        [CALLED, FIRST, SECOND, said("system", "word4")],
        [CALLED, said("system", "word4"), FIRST, SECOND],
        [CALLED, FIRST, said("system", "word4"), SECOND],
    ],
)
def test_a_result_stands_behind_its_call(chat: list[dict[str, Any]]) -> None:
    """Whatever a client has put between them comes behind."""
    contents = [content for _, content in placed(ASKED, *chat)]

    assert contents == ["word1", "", "word2", "word3", "word4"]


def test_a_result_without_a_call_is_the_users() -> None:
    """A client has cut off the beginning of a chat: nothing is lost."""
    orphan = said("tool", "word2", tool_call_id="gone", name="add")

    assert placed(orphan, ASKED)[0] == ("user", "Result of add:\nword2")
    assert placed(ASKED, said("assistant", "word4"), orphan)[2] == ("user", "Result of add:\nword2")


def test_an_unknown_id_counts_as_none() -> None:
    """The result belongs to the call that has none yet."""
    chat = normalised([ASKED, CALLED, SECOND, said("tool", "word2", tool_call_id="nope")])

    assert chat[3]["tool_call_id"] == "call_1"


def test_several_results_of_one_call_stay_together() -> None:
    """None of them is dropped."""
    assert [role for role, _ in placed(ASKED, CALLED, FIRST, FIRST)][2:] == ["tool", "tool"]


def test_a_refusal_is_what_the_assistant_said() -> None:
    """Clients echo it beside a content that is null."""
    (message,) = normalised([said("assistant", None, refusal="I cannot")])

    assert message["content"] == "I cannot"


@pytest.mark.parametrize("source", [ALTERNATING, STRICT], ids=["alternating", "strict"])
@pytest.mark.parametrize(
    "chat",
    [
        [said("assistant", "word1"), said("user", "word2")],
        [said("assistant", "word1")],
        [said("system", "word1")],
        [ASKED, CALLED, said("user", "word2")],
        [ASKED, CALLED, FIRST, said("user", "word3")],
        [FIRST, said("user", "word3")],
    ],
)
def test_a_turn_that_a_template_demands_is_there(
    made: Make, source: str, chat: list[dict[str, Any]]
) -> None:
    """Chats that begin with the assistant, have no user, or leave a call without an answer."""
    text = made(source).render(chat).text

    assert [one["content"] for one in chat if one["content"] and one["content"] not in text] == []
