"""An engine whose template has the tools and thinking of the Hermes family, and one that has neither."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.engine import Engine
from tests.support.gguf import CHAT_TEMPLATE, build_model

TEMPLATE = (
    "{% if tools %}{{ '<|system|>\n' }}{% for tool in tools %}{{ tool | tojson }}{{ '\n' }}{% endfor %}"
    '{{ \'<tool_call>\n{"name": …, "arguments": …}\n</tool_call>\n\' }}{% endif %}'
    "{% for message in messages %}{{ '<|' + message.role + '|>\n' }}"
    "{% if message.reasoning_content %}"
    "{{ '<think>' + message.reasoning_content + '</think>' }}{% endif %}"
    "{{ message.content or '' }}"
    '{% for call in message.tool_calls or [] %}{{ \'\n<tool_call>\n{"name": "\' + call.function.name '
    "+ '\", \"arguments\": ' + (call.function.arguments | tojson) + '}\n</tool_call>' }}{% endfor %}"
    "{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}"
    "{% if enable_thinking %}{{ '<think>\n' }}{% endif %}{% endif %}"
)
MARKS = ("<tool_call>", "</tool_call>", "<think>", "</think>")


@pytest.fixture(scope="package")
def hermes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine of that family; its marks are special tokens, which are never drawn by themselves."""
    folder = tmp_path_factory.mktemp("hermes")
    build_model(folder / "model.gguf", chat_template=TEMPLATE, user_defined=MARKS)
    with Engine(tmp_path_factory.mktemp("engine"), folder / "model.gguf") as engine:
        yield engine.start()


@pytest.fixture(scope="package")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose template knows neither."""
    folder = tmp_path_factory.mktemp("plain")
    build_model(folder / "model.gguf", chat_template=CHAT_TEMPLATE)
    with Engine(tmp_path_factory.mktemp("engine"), folder / "model.gguf") as engine:
        yield engine.start()
