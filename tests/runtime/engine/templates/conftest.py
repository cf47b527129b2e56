"""A vocabulary with marks, and templates that are rendered with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import llama_cpp
import pytest

from runtime.engine.templates.chat_template import ChatTemplate
from runtime.engine.vocabulary import Vocabulary
from tests.support.gguf import build_model

CONTROLS = ["<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<|turn_end|>"]
CONTROLS += ["<function>", "<name>", "</name>"]
USER_DEFINED = ["<think>", "</think>", "<tool_call>"]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

Make = Callable[..., ChatTemplate]


@pytest.fixture(scope="package")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vocabulary]:
    """A SentencePiece vocabulary with the marks above."""
    path: Path = tmp_path_factory.mktemp("marks") / "marks.gguf"
    build_model(path, controls=CONTROLS, user_defined=USER_DEFINED)
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    yield Vocabulary(llama_cpp.llama_model_get_vocab(model.model))
    model.close()


@pytest.fixture
def made(vocabulary: Vocabulary) -> Make:
    """Makes a ChatTemplate of a template's source, and of others by name."""

    def make(source: str | None, chat_format: str | None = None, **named: str) -> ChatTemplate:
        metadata = {f"tokenizer.chat_template.{name}": text for name, text in named.items()}
        if source is not None:
            metadata["tokenizer.chat_template"] = source
        return ChatTemplate(metadata, vocabulary, chat_format)

    return make
