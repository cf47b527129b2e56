"""What is pasted into clients can be read by them, whatever the model's name."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import tomllib

import pytest
import yaml

from proxy.admin.client_snippets import Snippet, snippets
from proxy.upstream.routes import route_of

URL, KEY = "https://llm.example.org:8001", "lsk_" + "x" * 50
MODELS = ["smollm2-q8_0.gguf", "a 'quoted' \"one\" $HOME `id` \\ ü.gguf"]


def made(model: str) -> dict[str, Snippet]:
    return {one.name: one for one in snippets(url=URL, key=KEY, model=model)}


def shell_values(text: str) -> list[str]:
    return shlex.split(text.replace("\\\n", " ").replace("\n", " "))


@pytest.mark.parametrize("model", MODELS)
def test_each_language_reads_its_values(model: str) -> None:
    """As they are, neither cut nor carried out."""
    found = made(model)
    python = ast.parse(found["OpenAI (Python)"].text)
    strings = {node.value for node in ast.walk(python) if isinstance(node, ast.Constant)}
    assert {URL + "/v1", KEY, model} <= strings
    provider = json.loads(found["opencode"].text)["provider"]["llamaserve"]
    assert (provider["options"]["baseURL"], provider["models"]) == (URL + "/v1", {model: {}})
    codex = tomllib.loads(found["codex"].text)
    assert (codex["model"], codex["model_providers"]["llamaserve"]["base_url"]) == (model, URL + "/v1")
    (continued,) = yaml.safe_load(found["Continue"].text)["models"]
    assert (continued["model"], continued["apiKey"]) == (model, KEY)
    assert f"ANTHROPIC_MODEL={model}" in shell_values(found["Claude Code"].text)
    curl = shell_values(found["curl"].text)
    assert curl[1] == URL + "/v1/chat/completions"
    assert f"Authorization: Bearer {KEY}" in curl
    assert json.loads(curl[-1])["model"] == model


def test_a_shell_takes_nothing_for_a_command() -> None:
    """The words that bash sees are those that are meant."""
    text = made(MODELS[1])["Claude Code"].text.replace("export ", "printf '%s\\n' ")
    lines = text.splitlines()[:-1]
    done = subprocess.run(["bash", "-euc", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"ANTHROPIC_BASE_URL={URL}",
        f"ANTHROPIC_AUTH_TOKEN={KEY}",
        f"ANTHROPIC_MODEL={MODELS[1]}",
        f"ANTHROPIC_SMALL_FAST_MODEL={MODELS[1]}",
    ]


def test_all_have_the_key_and_a_path_of_the_api() -> None:
    """The path is one that the proxy forwards."""
    for one in made(MODELS[0]).values():
        assert KEY in one.text
        assert route_of("POST", one.path).generates
