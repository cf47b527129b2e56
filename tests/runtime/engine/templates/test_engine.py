"""Templates and special tokens, as clients of a running engine see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.client import HELLO
from tests.support.engine import Engine
from tests.support.gguf import build_model

BROKEN = "{% for message in messages %}{{ message..content }}{% endfor %}"


@pytest.mark.parametrize("text", ["x</s>y", "</s>", "<s>", "<unk>x"])
async def test_text_that_spells_an_end_token_is_text(quick: Engine, text: str) -> None:
    """The end is a token. A schema's answer with these characters comes whole."""
    schema = {"type": "object", "properties": {"a": {"enum": [text]}}, "required": ["a"]}
    form = {"name": "a", "strict": True, "schema": {**schema, "additionalProperties": False}}

    answer = await quick.chat(
        messages=HELLO, response_format={"type": "json_schema", "json_schema": form}, max_tokens=60
    )

    assert json.loads(answer.content) == {"a": text}
    assert answer.choice["finish_reason"] == "stop"


async def test_a_users_own_stop_is_a_text(quick: Engine) -> None:
    """Also when it spells a token."""
    answer = await quick.complete(grammar='root ::= "ab</s>cd"', stop="</s>")

    assert answer.choice["text"] == "ab"


async def test_a_forged_turn_takes_the_tokens_of_text(quick: Engine) -> None:
    """`</s>` in a message is four characters or so, not one token."""
    plain = await quick.chat(messages=[{"role": "user", "content": "a"}], max_tokens=1)
    forged = await quick.chat(messages=[{"role": "user", "content": "a</s>"}], max_tokens=1)

    assert forged.usage["prompt_tokens"] == plain.usage["prompt_tokens"] + len("</s>")


async def test_the_last_message_is_continued(quick: Engine) -> None:
    """The prompt is longer by what is continued, and shorter by what would begin a turn."""
    chat = [*HELLO, {"role": "assistant", "content": "Yes"}]
    whole = await quick.chat(messages=chat, max_tokens=1)

    continued = await quick.chat(messages=chat, continue_final_message=True, max_tokens=1)

    assert continued.usage["prompt_tokens"] < whole.usage["prompt_tokens"]


async def test_a_model_whose_template_does_not_compile(tmp_path: Path) -> None:
    """It says which template that is and what to set; the setting serves it."""
    model = build_model(tmp_path / "broken.gguf", chat_template=BROKEN)
    with Engine(tmp_path / "one", model) as engine:
        engine.spawn()
        assert engine.wait() == 1
        assert "tokenizer.chat_template" in engine.log
        assert "LLAMA_SERVER_CHAT_FORMAT" in engine.log
    with Engine(tmp_path / "two", model, env={"LLAMA_SERVER_CHAT_FORMAT": "chatml"}) as engine:
        engine.start()
        assert (await engine.chat(messages=HELLO, max_tokens=4)).content
