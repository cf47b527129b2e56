"""The starter model that comes with the appliance: the answers that it must give, through the real
server."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from models.starter import evaluate
from models.starter.text import corpus
from models.starter.text.facts import Thread
from proxy.admin import limit_options
from runtime.config import KEYS, ROOT
from runtime.models import selection
from tests.support.engine import Engine

LEAST = 20
CARD = (evaluate.HERE / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A question of the examination and the answer to it."""

    item: dict[str, Any]
    answer: str
    finish_reason: str


@pytest.fixture(scope="module")
def text() -> list[Thread]:
    """The training text, generated again."""
    return list(corpus.threads())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The model server with the starter model and default settings."""
    with Engine(tmp_path_factory.mktemp("starter"), evaluate.MODEL) as running:
        yield running.start()


@pytest.fixture(scope="module")
def examined(engine: Engine) -> list[Examined]:
    """All held-out questions, asked at temperature 0, with earlier questions of the same
    conversation."""

    async def examine(item: dict[str, Any]) -> Examined:
        messages = [{"role": "system", "content": item["system"]}] if "system" in item else []
        choice: dict[str, Any] = {}
        for question in evaluate.turns(item):
            messages.append({"role": "user", "content": question})
            answer = await engine.chat(messages=messages, temperature=0, max_tokens=evaluate.MAX_TOKENS)
            choice = answer.choice
            messages.append(choice["message"])
        return Examined(
            item=item,
            answer=choice["message"]["content"],
            finish_reason=choice["finish_reason"],
        )

    async def examine_all() -> list[Examined]:
        return [await examine(item) for item in corpus.held_out()]

    return asyncio.run(examine_all())


def test_the_file_is_the_one_of_the_card() -> None:
    """Small enough for git, a complete model with a template and a context; the model card has its
    hash."""
    model = selection.read_model(evaluate.MODEL)

    assert model.file_bytes <= 4_000_000
    assert model.architecture == "llama"
    assert model.has_chat_template
    assert model.context_length >= 1024
    assert hashlib.sha256(evaluate.MODEL.read_bytes()).hexdigest() in CARD


def test_the_training_text_is_the_one_of_the_card(text: list[Thread]) -> None:
    """A changed text needs a new training: the model card has the hash of the text, too."""
    assert corpus.digest(text) in CARD


def test_the_held_out_questions_are_not_in_the_training_text(text: list[Thread]) -> None:
    """In no spelling, with or without capitals and punctuation. There are many, and they differ."""
    examination = corpus.held_out()
    trained_on = {corpus.same(question) for thread in text for question, _ in thread}

    assert len(examination) >= 60
    for file in corpus.EXAMINATIONS:
        assert not corpus.asked(corpus.held_out(file)) & trained_on
    assert not corpus.asked(examination) & corpus.asked(corpus.held_out("dev.jsonl"))


def test_it_answers_the_held_out_questions(examined: list[Examined]) -> None:
    """At least 88 of 100 answers have the command or fact that was asked for."""
    wrong = [e for e in examined if evaluate.failed(e.item, e.answer)]

    listed = "\n".join(f"{e.item['ask']!r}: {e.answer}" for e in wrong)
    assert len(wrong) <= 0.12 * len(examined), listed


async def test_it_understands_wordings_that_it_has_not_seen(engine: Engine) -> None:
    """Of 22 kinds of questions about the appliance, at least LEAST are answered in most wordings, which
    were written before the training text for them."""
    items = corpus.held_out("unseen.jsonl")

    async def ask(item: dict[str, Any]) -> str:
        messages = [{"role": "user", "content": item["ask"]}]
        answer = await engine.chat(messages=messages, temperature=0, max_tokens=evaluate.MAX_TOKENS)
        return str(answer.content)

    kinds = evaluate.kinds_right(items, await asyncio.gather(*map(ask, items)))
    assert len(kinds) == 22
    assert sum(count >= evaluate.MOST for count in kinds.values()) >= LEAST, kinds


def test_it_says_hello(examined: list[Examined]) -> None:
    """The first request that the README shows is answered."""
    (hello,) = [e for e in examined if e.item["ask"] == "Say hello in one sentence."]
    assert hello.answer.startswith("Hello")


def test_its_answers_end_and_have_no_broken_words(examined: list[Examined], text: list[Thread]) -> None:
    """Each word is one of the training text's answers, and each answer ends, even the wrong ones."""
    known = evaluate.known_words(text)
    for e in examined:
        assert e.finish_reason == "stop", e
        assert e.answer.strip(), e
        assert not evaluate.strange_words(e.answer, known), e


async def test_a_long_conversation_does_not_confuse_it(engine: Engine) -> None:
    """After more than a thousand tokens of earlier messages it still answers the last question."""
    turn = [
        {"role": "user", "content": "How do I stop the appliance?"},
        {"role": "assistant", "content": "./console.sh stop stops everything."},
    ]
    question = {"role": "user", "content": "What is the capital of France?"}
    answer = await engine.chat(messages=[*turn * 64, question], temperature=0, max_tokens=100)

    assert answer.usage["prompt_tokens"] > 1000
    assert "Paris" in answer.content
    assert answer.choice["finish_reason"] == "stop"


def test_its_answers_are_true_of_this_project(text: list[Thread]) -> None:
    """The commands, options, settings and files in its answers exist."""
    answers = " ".join(sorted({answer for thread in text for _, answer in thread}))
    commands = {path.stem for path in (ROOT / "runtime/commands").rglob("*.sh")}
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "proxy/admin").glob("*.py")]
    words = set(re.findall(r'"(-{0,2}[a-z][\w-]*)"', "".join(sources)))
    words |= {f"--{name.replace('_', '-')}" for name in limit_options.PARSERS}

    assert set(re.findall(r"console\.sh (\w+)", answers)) <= commands
    named = re.findall(r"user_management_cli\.sh ([\w-]+)|(--[\w-]+)", answers)
    assert {command or option for command, option in named} <= words
    assert set(re.findall(r"(?:LLAMA|POSTGRES)_\w+", answers)) <= set(KEYS)
    paths = re.findall(r"(?<![\w/])(?:runtime|models|bin)/[\w./]*\w", answers)
    assert all((ROOT / path).exists() for path in paths if path not in WRITTEN_LATER), paths


WRITTEN_LATER = {"runtime/config.env", "runtime/logs"}
"""What the installation makes."""
