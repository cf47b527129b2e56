"""Templates as they are found in models' files, and what becomes of messages that they do not render."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.engine.api.schemas import ChatRequest
from runtime.engine.api.thinking import template_variables
from runtime.engine.errors import Refusal
from runtime.engine.templates.chat_template import ChatTemplateError
from runtime.engine.vocabulary import Vocabulary
from tests.runtime.engine.templates.conftest import CHATML, Make

TOOL = {
    "type": "function",
    "function": {"name": "add", "description": "Adds", "parameters": {"type": "object"}},
}
BROKEN = "{% for message in messages %}{{ message..content }}{% endfor %}"
ALTERNATING = (
    "{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ message.content }}]{% endfor %}"
)
CALLS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}CALL {{ call.function.name }}"
    "{% for name, value in call.function.arguments.items() %} {{ name }}={{ value }}{% endfor %}"
    "{% endfor %}<|im_end|>{% endfor %}"
)


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def call(number: int, arguments: Any = '{"a": 1}') -> dict[str, Any]:
    function = {"name": f"add{number}", "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function}


CHAT = [
    said("system", "word1"),
    said("system", "word2"),
    said("user", "word3"),
    said("user", "word4"),
    said(
        "assistant", "word5", tool_calls=[call(1, '{"word6": "word7"}'), call(2, {"word8": ["word9"]})]
    ),
    said("tool", "word10", tool_call_id="call_1"),
    said("tool", "word11", tool_call_id="call_2"),
    said("system", "word12"),
    said("assistant", "word13"),
    said("user", "word14"),
]
WORDS = [*(f"word{number}" for number in range(1, 15)), "add1", "add2"]


FORMATS = """
    llama-2 llama-3 alpaca qwen vicuna oasst_llama baichuan-2 baichuan openbuddy redpajama-incite snoozy
    phind intel open-orca mistrallite zephyr pygmalion chatml mistral-instruct chatglm3 openchat saiga
    gemma
"""


@pytest.mark.parametrize("chat_format", FORMATS.split())
def test_no_message_vanishes_in_a_named_format(made: Make, chat_format: str) -> None:
    """Most of them know the first system message, the user and the assistant only."""
    text = made(None, chat_format).render(CHAT, tools=[TOOL]).text

    assert [word for word in WORDS if word not in text] == []


SOURCES = {"chatml": CHATML, "strict": ALTERNATING, "calls": CALLS, "none": None}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("with_tools", [False, True])
def test_no_message_vanishes(made: Make, source: str | None, with_tools: bool) -> None:
    """Also in templates that know no tools, or want roles to alternate, and without any."""
    tools = [TOOL] if with_tools else []

    text = made(source).render(CHAT, tools=tools).text

    assert [word for word in WORDS if word not in text] == []


def test_a_role_that_nothing_renders_is_refused_by_name(made: Make) -> None:
    """A template that leaves the assistant out cannot be helped."""
    deaf = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"

    with pytest.raises(Refusal) as raised:
        made(deaf).render([said("user", "a"), said("assistant", "b"), said("user", "c")])

    assert raised.value.param == "messages[1].role"
    assert made(deaf).render([said("system", "s"), said("user", "a")]).text == "s\n\na"


def test_an_empty_message_is_left_out_where_it_is_refused(made: Make) -> None:
    """Clients echo a response in which the model said nothing."""
    refusing = "{% for m in messages %}{{ m.content or raise_exception('empty') }}{% endfor %}"
    chat = [said("user", "a"), said("assistant", None), said("user", "b")]

    assert made(refusing).render(chat).text == "ab"


def test_a_model_without_a_template_says_which_format_is_used(
    made: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """And which setting chooses another."""
    made(None)

    assert "chatml" in caplog.text
    assert "LLAMA_SERVER_CHAT_FORMAT" in caplog.text


def test_a_template_that_does_not_compile_is_named_with_the_remedy(made: Make) -> None:
    """The message says which template it is and what to set; the setting then serves the model."""
    with pytest.raises(ChatTemplateError) as raised:
        made(BROKEN)

    assert "tokenizer.chat_template" in str(raised.value)
    assert "LLAMA_SERVER_CHAT_FORMAT" in str(raised.value)
    assert "Hello" in made(BROKEN, "chatml").render([said("user", "Hello")]).text


def test_a_broken_template_beside_the_default_is_not_used(
    made: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The model loads; the log names the template."""
    text = made(CHATML, tool_use=BROKEN).render([said("user", "Hello")], tools=[TOOL]).text

    assert "Hello" in text
    assert "tokenizer.chat_template.tool_use" in caplog.text


def test_the_template_for_tools_is_used_with_tools(made: Make) -> None:
    """A file may have several: `tool_use` is for chats with tools, and the setting may name any."""
    template = made(
        CHATML, tool_use="TOOLS{{ tools[0].function.name }}{{ messages[0].content }}", rag="RAG"
    )

    assert "TOOLS" not in template.render([said("user", "Hello")]).text
    assert template.render([said("user", "Hello")], tools=[TOOL]).text == "TOOLSaddHello"
    assert made(CHATML, "chat_template.rag", rag="RAG").render([said("user", "Hello")]).text == "RAG"


def test_a_file_without_a_default_template_is_served_with_another(
    made: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says with which."""
    assert made(None, rag="RAG").render([said("user", "Hello")]).text == "RAG"
    assert "chat_template.rag" in caplog.text


def test_an_unknown_format_is_refused(made: Make) -> None:
    """The setting is named."""
    for name in ("nonsense", "functionary", "chat_template.none"):
        with pytest.raises(ChatTemplateError, match="LLAMA_SERVER_CHAT_FORMAT"):
            made(CHATML, name)


def test_variables_reach_the_template(made: Make) -> None:
    """`chat_template_kwargs`, but for what the template is always given."""
    template = made("{{ enable_thinking }} {{ messages[0].content }}")

    text = template.render([said("user", "Hello")], variables={"enable_thinking": False}).text

    assert text == "False Hello"
    assert template.capabilities.variables == {"enable_thinking"}
    for name in ("messages", "bos_token", "raise_exception"):
        with pytest.raises(Refusal) as raised:
            template.render([said("user", "Hello")], variables={name: "x"})
        assert raised.value.param == "chat_template_kwargs"


CHOOSY = (
    "{% if reasoning_effort is defined and reasoning_effort not in ['high', 'low', 'no_think'] %}"
    "{{ raise_exception('reasoning_effort') }}{% endif %}{{ reasoning_effort }}{{ messages[0].content }}"
)
ANY = "{{ reasoning_effort }}{{ messages[0].content }}"
NAMES_NONE = "{% if reasoning_effort == 'none' %}none{% endif %}{{ messages[0].content }}"


@pytest.mark.parametrize(
    ("source", "given"),
    [
        (CHOOSY, {"none": "no_think", "minimal": "low", "medium": "low", "high": "high", "max": "high"}),
        (ANY, {"none": "low", "minimal": "minimal", "medium": "medium", "max": "max"}),
        (NAMES_NONE, {"none": "none", "low": "low"}),
        (CHATML, {"none": None, "high": None}),
    ],
    ids=["choosy", "any", "names none", "ignores it"],
)
def test_an_effort_is_one_that_the_template_takes(
    made: Make, source: str, given: dict[str, str | None]
) -> None:
    """A value that it refuses becomes the next lower one that it takes, or its lowest."""
    template = made(source)
    for effort, expected in given.items():
        request = ChatRequest.model_validate(
            {"messages": [said("user", "a")], "reasoning_effort": effort}
        )
        variables = template_variables(request, template.capabilities)
        assert variables.get("reasoning_effort") == expected
        template.render([said("user", "Hello")], variables=variables)


@pytest.mark.parametrize("content", ["The answer is ", "", "ends in a mark <|im_end|>", "<|im_"])
def test_the_last_message_is_continued(made: Make, vocabulary: Vocabulary, content: str) -> None:
    """The prompt ends within it, blanks at its end included."""
    template = made(CHATML)
    chat = [said("user", "Hello"), said("assistant", content)]

    rendered = template.render(chat, continue_final_message=True)

    start = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    assert rendered.text == start + content
    marks = [token for token in template.tokens(rendered) if token in vocabulary.controls.values()]
    assert len(marks) == 3


def test_only_the_assistants_message_is_continued(made: Make) -> None:
    """Another one, or one with calls, is refused by the field's name."""
    for last in (said("user", "Hello"), said("assistant", "", tool_calls=[call(1)])):
        with pytest.raises(Refusal) as raised:
            made(CHATML).render([last], continue_final_message=True)
        assert raised.value.param == "continue_final_message"


def test_a_template_that_hides_the_last_message_cannot_continue_it(made: Make) -> None:
    """It is refused, rather than answered from a prompt without the message."""
    hides = "{% for m in messages %}{% if not loop.last or m.role == 'user' %}{{ m.content }}{% endif %}"
    hides += "{% endfor %}"
    with pytest.raises(Refusal) as raised:
        made(hides).render([said("assistant", "x")], continue_final_message=True)
    assert raised.value.param == "continue_final_message"


def test_calls_are_given_in_the_form_that_the_template_wants(made: Make) -> None:
    """Objects, texts, null content, short ids, and one call to a message."""
    as_text = CALLS.replace(
        "{% for name, value in call.function.arguments.items() %} {{ name }}={{ value }}{% endfor %}",
        "{{ ' ' + call.function.arguments }}",
    )
    null = CALLS.replace(
        "{{ message.content }}", "{{ message.content if not message.tool_calls }}"
    ).replace("in message.tool_calls or []", "in (message.tool_calls if message.content is none) or []")
    short = CALLS.replace("CALL", "{{ raise_exception('id') if call.id | length != 9 }}CALL")
    single = CALLS.replace("CALL", "{{ raise_exception('one') if message.tool_calls | length > 1 }}CALL")
    chat = [said("user", "Hello"), said("assistant", "Well", tool_calls=[call(1), call(2)])]

    assert 'add1 {"a": 1}' in made(as_text).render(chat).text
    for source in (CALLS, null, short, single):
        text = made(source).render(chat).text
        assert [part for part in ("Well", "CALL add1 a=1", "CALL add2 a=1") if part not in text] == []


def test_the_token_that_ends_a_turn_ends_responses(made: Make, vocabulary: Vocabulary) -> None:
    """Where the file names another end, and the template writes it nowhere."""
    made(
        "{% for message in messages %}{{ message.role }}: {{ message.content }}<|turn_end|>{% endfor %}"
    )

    assert vocabulary.is_end(vocabulary.controls["<|turn_end|>"])


def test_no_format_stops_at_the_text_of_a_token(made: Make, vocabulary: Vocabulary) -> None:
    """A format's end is a token of the vocabulary, unless there is none."""
    assert made(CHATML).stops == []
    assert made(None, "chatml").stops == []
    assert vocabulary.is_end(vocabulary.controls["<|im_end|>"])
    assert made(None, "openchat").stops == ["<|end_of_turn|>"]
